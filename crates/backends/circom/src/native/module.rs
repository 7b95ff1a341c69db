//! Parses a wasm module as far as needed to replace the bodies of some functions.
//!
//! Sections and the other bodies are copied unchanged, so indices do not change.

use std::{collections::HashMap, ops::Range};

use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, Encode, ExportKind, ExportSection, FunctionSection,
    MemorySection, MemoryType, RawSection,
};
use wasmparser::{
    BinaryReader, DataKind, ExternalKind, KnownCustom, Name, Operator, Parser, Payload, TypeRef,
};

/// Type of a function: numbers of `i32` parameters and results; `None` for any other type.
type Shape = Option<(u32, u32)>;

/// The parsed parts of a module. Errors that the compiler finds are not checked here.
pub(super) struct Outline<'a> {
    wasm: &'a [u8],
    /// Id and contents of each section, in order.
    sections: Vec<(u8, Range<usize>)>,
    shapes: Vec<Shape>,
    /// Number of imported functions.
    imported: u32,
    /// Types of the module's own functions.
    types: Vec<u32>,
    bodies: Vec<&'a [u8]>,
    /// Indices of functions by name, for names that occur once.
    names: HashMap<&'a str, Option<u32>>,
    /// Indices of exported functions.
    exports: HashMap<&'a str, u32>,
    /// Active data segments at constant addresses.
    data: Vec<(u32, &'a [u8])>,
}

/// Section numbers of the wasm standard.
const TYPE: u8 = 1;
const IMPORT: u8 = 2;
const FUNCTION: u8 = 3;
const EXPORT: u8 = 7;
const CODE: u8 = 10;

/// Pages of memory of the comparison module.
pub(super) const BENCH_PAGES: u64 = 2;
const PAGE: u64 = 1 << 16;

impl<'a> Outline<'a> {
    /// Parses a module.
    pub(super) fn of(wasm: &'a [u8]) -> wasmparser::Result<Self> {
        let mut outline = Self {
            wasm,
            sections: Vec::new(),
            shapes: Vec::new(),
            imported: 0,
            types: Vec::new(),
            bodies: Vec::new(),
            names: HashMap::new(),
            exports: HashMap::new(),
            data: Vec::new(),
        };
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            if let Some((id, range)) = payload.as_section() {
                outline.sections.push((id, range));
            }
            outline.take(payload)?;
        }
        Ok(outline)
    }

    fn take(&mut self, payload: Payload<'a>) -> wasmparser::Result<()> {
        match payload {
            Payload::TypeSection(types) => {
                for kind in types.into_iter_err_on_gc_types() {
                    let kind = kind?;
                    let all_i32 = |list: &[_]| list.iter().all(|&t| t == wasmparser::ValType::I32);
                    let (takes, gives) = (kind.params(), kind.results());
                    let shape = (takes.len() as u32, gives.len() as u32);
                    self.shapes.push((all_i32(takes) && all_i32(gives)).then_some(shape));
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    self.imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                }
            }
            Payload::FunctionSection(functions) => {
                self.types = functions.into_iter().collect::<Result<_, _>>()?;
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    if export.kind == ExternalKind::Func {
                        self.exports.insert(export.name, export.index);
                    }
                }
            }
            Payload::CodeSectionEntry(body) => self.bodies.push(body.as_bytes()),
            Payload::DataSection(segments) => {
                for segment in segments {
                    let segment = segment?;
                    if let DataKind::Active { memory_index: 0, offset_expr } = segment.kind
                        && let Operator::I32Const { value } =
                            offset_expr.get_operators_reader().read()?
                    {
                        self.data.push((value as u32, segment.data));
                    }
                }
            }
            Payload::CustomSection(section) => {
                if let KnownCustom::Name(names) = section.as_known() {
                    // Names are for debuggers: a malformed section is treated as missing.
                    let _ = self.take_names(names);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn take_names(&mut self, names: wasmparser::NameSectionReader<'a>) -> wasmparser::Result<()> {
        for part in names {
            if let Name::Function(functions) = part? {
                for naming in functions {
                    let naming = naming?;
                    let known = self.names.entry(naming.name).or_insert(Some(naming.index));
                    if *known != Some(naming.index) {
                        *known = None;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether any function has a name.
    pub(super) fn has_names(&self) -> bool {
        !self.names.is_empty()
    }

    /// The index of the module's own function with that name, if it has this type.
    pub(super) fn function(&self, name: &str, shape: (u32, u32)) -> Option<u32> {
        self.of_shape((*self.names.get(name)?)?, shape)
    }

    /// The index of the module's own function with that export name, if it has this type.
    pub(super) fn exported(&self, name: &str, shape: (u32, u32)) -> Option<u32> {
        self.of_shape(*self.exports.get(name)?, shape)
    }

    fn of_shape(&self, index: u32, shape: (u32, u32)) -> Option<u32> {
        let kind = *self.types.get(index.checked_sub(self.imported)? as usize)?;
        (*self.shapes.get(kind as usize)? == Some(shape)).then_some(index)
    }

    /// Whether the module's data holds these bytes.
    pub(super) fn holds(&self, bytes: &[u8; 32]) -> bool {
        self.data.iter().any(|(_, data)| {
            data.len() >= 32
                && data[..data.len().min(PAGE as usize)].windows(32).any(|at| at == bytes)
        })
    }

    /// The index of the `n`-th function that is added to the module.
    pub(super) fn added(&self, n: u32) -> u32 {
        self.imported + self.bodies.len() as u32 + n
    }

    /// Bodies of the module's own functions, with their indices.
    pub(super) fn bodies(&self) -> impl Iterator<Item = (u32, &'a [u8])> {
        (self.imported..).zip(self.bodies.iter().copied())
    }

    /// The module with new bodies for some functions, by index. Also adds a function with its export,
    /// type and body, and then copies of the functions in `kept` with their original bodies. `None`
    /// if the module lacks the type or already has the export.
    pub(super) fn with(
        &self,
        new: &HashMap<u32, Vec<u8>>,
        (export, shape, body): (&str, (u32, u32), &[u8]),
        kept: &[u32],
    ) -> Option<Vec<u8>> {
        let kind = self.shapes.iter().position(|known| *known == Some(shape))?;
        if self.exports.contains_key(export) || self.types.len() != self.bodies.len() {
            return None;
        }
        let kept: Vec<usize> = kept
            .iter()
            .map(|index| Some(index.checked_sub(self.imported)? as usize))
            .collect::<Option<_>>()?;
        let mut module = wasm_encoder::Module::new();
        for (id, range) in &self.sections {
            let data = self.wasm.get(range.clone())?;
            match *id {
                FUNCTION => {
                    let mut functions = FunctionSection::new();
                    let again = kept.iter().map(|&own| self.types[own]);
                    let all = self.types.iter().copied().chain([kind as u32]).chain(again);
                    all.for_each(|kind| _ = functions.function(kind));
                    module.section(&functions);
                }
                EXPORT => {
                    let mut reader = BinaryReader::new(data, 0);
                    let count = reader.read_var_u32().ok()?;
                    let mut exports = Vec::with_capacity(data.len() + 2 * export.len());
                    count.checked_add(1)?.encode(&mut exports);
                    exports.extend_from_slice(data.get(reader.current_position()..)?);
                    export.encode(&mut exports);
                    ExportKind::Func.encode(&mut exports);
                    self.added(0).encode(&mut exports);
                    module.section(&RawSection { id: *id, data: &exports });
                }
                CODE => {
                    let mut code = CodeSection::new();
                    for (body, index) in self.bodies.iter().zip(self.imported..) {
                        code.raw(new.get(&index).map_or(*body, Vec::as_slice));
                    }
                    code.raw(body);
                    kept.iter().for_each(|&own| _ = code.raw(self.bodies[own]));
                    module.section(&code);
                }
                id => _ = module.section(&RawSection { id, data }),
            }
        }
        Some(module.finish())
    }

    /// The comparison module: this module's functions whose names start with `prefix` (other functions
    /// trap), then the `new` functions, each with the type of the function at its index, and a small
    /// memory with the start of the data. The `n`-th pair is exported as `old n` and `new n`, the
    /// memory as `memory`.
    pub(super) fn bench(&self, prefix: &str, new: &[(u32, Vec<u8>)]) -> Option<Vec<u8>> {
        let mut kept = vec![false; self.bodies.len()];
        for (name, index) in &self.names {
            if name.starts_with(prefix)
                && let Some(own) = index.and_then(|index| index.checked_sub(self.imported))
            {
                *kept.get_mut(own as usize)? = true;
            }
        }
        let mut functions = FunctionSection::new();
        self.types.iter().for_each(|&kind| _ = functions.function(kind));
        let mut code = CodeSection::new();
        let mut trap = wasm_encoder::Function::new([]);
        trap.instructions().unreachable().end();
        for (body, kept) in self.bodies.iter().zip(kept) {
            if kept {
                code.raw(body);
            } else {
                code.function(&trap);
            }
        }
        let mut exports = ExportSection::new();
        exports.export("memory", ExportKind::Memory, 0);
        for (n, (index, body)) in (0u32..).zip(new) {
            functions.function(*self.types.get(index.checked_sub(self.imported)? as usize)?);
            code.raw(body);
            exports.export(&format!("old {n}"), ExportKind::Func, *index);
            exports.export(&format!("new {n}"), ExportKind::Func, self.added(n));
        }
        let mut memories = MemorySection::new();
        memories.memory(MemoryType {
            minimum: BENCH_PAGES,
            maximum: Some(BENCH_PAGES),
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        let mut data = DataSection::new();
        for &(address, bytes) in &self.data {
            if u64::from(address) < PAGE {
                let most = bytes.len().min((PAGE - u64::from(address)) as usize);
                data.active(
                    0,
                    &ConstExpr::i32_const(address as i32),
                    bytes[..most].iter().copied(),
                );
            }
        }
        let mut module = wasm_encoder::Module::new();
        for (id, range) in &self.sections {
            if [TYPE, IMPORT].contains(id) {
                module.section(&RawSection { id: *id, data: &self.wasm[range.clone()] });
            }
        }
        module.section(&functions).section(&memories).section(&exports).section(&code);
        module.section(&data);
        Some(module.finish())
    }
}
