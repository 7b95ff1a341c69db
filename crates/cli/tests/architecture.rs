//! Checks the crates' dependencies: no crate imports a crate that the table of ARCHITECTURE.md does not allow.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

type Table = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The table of ARCHITECTURE.md: rows `| crate | may import |` between two marks.
fn allowed() -> Table {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let table = text.split("<!-- imports -->").nth(1).expect("the table stands between its marks");
    let names = |cell: &str| -> BTreeSet<String> {
        cell.split(',').map(|name| name.trim().trim_matches('`').to_owned()).collect()
    };
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let may = names(cells[1]);
        names(cells[0]).into_iter().map(move |name| (name, may.clone())).collect::<Vec<_>>()
    })
    .collect()
}

/// Normal dependencies between the workspace's crates from `cargo metadata`, without the prefix `athanor-`.
fn found() -> Table {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let short = |name: &serde_json::Value| {
        name.as_str().unwrap().strip_prefix("athanor-").map(ToOwned::to_owned)
    };
    let packages = metadata["packages"].as_array().unwrap();
    let imports = |package: &serde_json::Value| {
        let normal = package["dependencies"].as_array().unwrap().iter();
        normal.filter(|dep| dep["kind"].is_null()).filter_map(|dep| short(&dep["name"])).collect()
    };
    packages.iter().map(|package| (short(&package["name"]).unwrap(), imports(package))).collect()
}

fn violations(found: &Table, allowed: &Table) -> Vec<String> {
    let mut violations = Vec::new();
    for (name, imports) in found {
        let Some(may) = allowed.get(name) else {
            violations.push(format!("{name} is not in the table"));
            continue;
        };
        let any = may.contains("anything");
        for import in imports.iter().filter(|import| !any && !may.contains(*import)) {
            violations.push(format!("{name} imports {import}"));
        }
    }
    for name in allowed.keys().filter(|name| !found.contains_key(*name)) {
        violations.push(format!("the table names {name}, which does not exist"));
    }
    violations
}

#[test]
fn no_crate_imports_what_the_table_does_not_allow() {
    assert_eq!(violations(&found(), &allowed()), Vec::<String>::new());
}

#[test]
fn nothing_imports_the_comparisons() {
    let imports = found();
    let mut importers = imports.iter().filter(|(_, imports)| imports.contains("peers"));
    assert!(importers.next().is_none());
}

#[test]
fn an_import_upward_and_an_unlisted_crate_are_caught() {
    let mut planted = found();
    planted.get_mut("kernels").unwrap().insert("groth16".to_owned());
    planted.insert("cellar".to_owned(), BTreeSet::new());
    let expected = ["cellar is not in the table", "kernels imports groth16"];
    assert_eq!(violations(&planted, &allowed()), expected);
}
