//! Settings: `key=value` changes to a scenario's text.

use super::ScenarioError;
use toml::{Table, Value};

/// Changes one key. The last part of the path may be absent from the text (a key with a default);
/// the other parts must exist, so a misspelt path is an error.
pub(super) fn apply(table: &mut Table, setting: &str) -> Result<(), ScenarioError> {
    let fail = |why: String| ScenarioError::Setting { setting: setting.to_owned(), why };
    let (path, value) = setting
        .split_once('=')
        .ok_or_else(|| fail("write it as key=value, such as cpu.lanes=5".into()))?;
    let path = path.trim().replace('[', ".").replace(']', "");
    let mut parts: Vec<&str> = path.split('.').collect();
    let key = parts.pop().unwrap_or_default();
    let mut at = table;
    let mut parts = parts.into_iter().peekable();
    while let Some(part) = parts.next() {
        at = match at.get_mut(part) {
            Some(Value::Table(inner)) => inner,
            Some(Value::Array(list)) => {
                let index = member(list, parts.peek().copied()).ok_or_else(|| {
                    fail(format!("which of `{part}`: name it, or give its index"))
                })?;
                if index.1 {
                    parts.next();
                }
                // A circuit's stages can be named without the part `stage`.
                enter(&mut list[index.0], parts.peek().copied())
                    .map(|(inner, used)| {
                        if used {
                            parts.next();
                        }
                        inner
                    })
                    .ok_or_else(|| fail(format!("`{part}` is not a list of tables")))?
            }
            _ => return Err(fail(format!("there is no `{part}` in the scenario"))),
        };
    }
    if key.is_empty() || matches!(at.get(key), Some(Value::Table(_) | Value::Array(_))) {
        return Err(fail("name a single value, not a table".into()));
    }
    at.insert(key.to_owned(), read(value.trim()));
    Ok(())
}

/// The member of a list that a path part names, and whether it named one (a list with one member
/// needs no part).
fn member(list: &[Value], part: Option<&str>) -> Option<(usize, bool)> {
    let named = |v: &Value| {
        ["name", "class", "circuit"].iter().any(|k| v.get(k).and_then(Value::as_str) == part)
    };
    if part.is_some()
        && let Some(at) = list.iter().position(named)
    {
        return Some((at, true));
    }
    if let Some(at) = part.and_then(|p| p.parse::<usize>().ok()) {
        return (at < list.len()).then_some((at, true));
    }
    (list.len() == 1).then_some((0, false))
}

/// The table of a list member, or of the stage in it that the next path part names.
fn enter<'a>(value: &'a mut Value, part: Option<&str>) -> Option<(&'a mut Table, bool)> {
    let table = value.as_table_mut()?;
    if let Some(part) = part.filter(|p| !table.contains_key(*p)) {
        let is = |v: &Value| v.get("name").and_then(Value::as_str) == Some(part);
        for list in ["stage", "finish"] {
            let at = table.get(list).and_then(Value::as_array).and_then(|l| l.iter().position(is));
            if let Some(at) = at {
                return Some((table.get_mut(list)?.get_mut(at)?.as_table_mut()?, true));
            }
        }
    }
    Some((table, false))
}

/// The value as TOML, or as text if it is not TOML: `512 GiB` needs no quotes.
fn read(text: &str) -> Value {
    toml::from_str::<Table>(&format!("v = {text}"))
        .ok()
        .and_then(|mut t| t.remove("v"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use crate::scenario::tests::GOOD;
    use crate::scenario::{Bytes, Scenario, ScenarioError, Seconds};

    #[test]
    fn a_setting_changes_the_value_it_names_and_no_other() {
        let plain = Scenario::from_toml(GOOD).unwrap();
        let set = |settings: &[&str]| Scenario::with_settings(GOOD, settings).unwrap();
        let mut wanted = plain.clone();
        wanted.machine.memory = Bytes::gib(32.0);
        assert_eq!(set(&["machine.memory = 32 GiB"]), wanted);
        let mut wanted = plain.clone();
        wanted.cpu[0].workers = 2;
        assert_eq!(set(&["cpu.lanes=2"]), wanted);
        assert_eq!(set(&["cpu[0].lanes=2"]), wanted);
        let mut wanted = plain.clone();
        wanted.circuit[0].stage[1].seconds = Seconds::Constant(6.5);
        assert_eq!(set(&["circuit.c.prove.seconds=6.5"]), wanted);
        assert_eq!(set(&["circuit.stage.prove.seconds=6.5"]), wanted);
        let mut wanted = plain;
        wanted.device[0].count = 3;
        assert_eq!(set(&["device.gpu.count=3"]), wanted);
    }

    #[test]
    fn a_setting_that_hits_nothing_is_an_error() {
        for bad in ["cpu", "cpus.lanes=3", "cpu.1.lanes=3", "circuit.c.prov.seconds=3", "cpu=3"] {
            let error = Scenario::with_settings(GOOD, &[bad]).expect_err(bad);
            assert!(matches!(error, ScenarioError::Setting { .. }), "{bad}: {error}");
        }
        for bad in ["cpu.lane=3", "cpu.lanes=many"] {
            let error = Scenario::with_settings(GOOD, &[bad]).expect_err(bad);
            assert!(matches!(error, ScenarioError::Syntax(_)), "{bad}: {error}");
        }
    }
}
