//! The optional fields of a contribution: a name, or a beacon's value and iterations.

/// Optional fields, each a number, in ascending order, then its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Params {
    pub(super) name: Option<String>,
    pub(super) iterations_log: Option<u8>,
    pub(super) beacon: Option<Vec<u8>>,
}

impl Params {
    const NAME: u8 = 1;
    const ITERATIONS: u8 = 2;
    const BEACON: u8 = 3;

    pub(super) fn parse(mut bytes: &[u8]) -> Result<Self, &'static str> {
        const ENDS: &str = "its parameters end in the middle of a field";
        fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], &'static str> {
            bytes.split_off(..count).ok_or(ENDS)
        }
        fn counted<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], &'static str> {
            let count = take(bytes, 1)?[0];
            take(bytes, count.into())
        }
        let mut params = Self::default();
        let mut last = 0;
        while let Some(&number) = bytes.split_off_first() {
            if number <= last {
                return Err("its parameters are not in ascending order");
            }
            last = number;
            match number {
                Self::NAME => {
                    let name = std::str::from_utf8(counted(&mut bytes)?);
                    params.name = Some(name.map_err(|_| "its name is not UTF-8")?.to_owned());
                }
                Self::ITERATIONS => params.iterations_log = Some(take(&mut bytes, 1)?[0]),
                Self::BEACON => params.beacon = Some(counted(&mut bytes)?.to_vec()),
                _ => return Err("it has an unknown parameter"),
            }
        }
        Ok(params)
    }

    /// Encodes the fields. Texts and values longer than 255 bytes are cut.
    pub(super) fn bytes(
        name: Option<&str>,
        iterations_log: Option<u8>,
        beacon: Option<&[u8]>,
    ) -> Vec<u8> {
        fn counted(bytes: &[u8]) -> impl Iterator<Item = u8> {
            let bytes = &bytes[..bytes.len().min(u8::MAX.into())];
            std::iter::once(bytes.len() as u8).chain(bytes.iter().copied())
        }
        let mut params = Vec::new();
        if let Some(name) = name {
            params.push(Self::NAME);
            params.extend(counted(&name.as_bytes()[..name.floor_char_boundary(255)]));
        }
        if let Some(iterations_log) = iterations_log {
            params.extend([Self::ITERATIONS, iterations_log]);
        }
        if let Some(beacon) = beacon {
            params.push(Self::BEACON);
            params.extend(counted(beacon));
        }
        params
    }
}
