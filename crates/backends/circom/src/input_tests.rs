use super::*;

fn parse(json: &str) -> Result<Inputs, InputError> {
    Inputs::parse(json.as_bytes(), CurveId::Bn254, &Limits::default())
}

/// Names and the low words of the values.
fn small(json: &str) -> Vec<(String, Vec<u64>)> {
    let inputs = parse(json).unwrap_or_else(|error| panic!("{json}: {error}"));
    let signals = inputs.signals().iter();
    signals.map(|s| (s.name.clone(), s.values.iter().map(|v| v[0]).collect())).collect()
}

fn refused(json: &str) -> InputError {
    parse(json).expect_err(json)
}

#[test]
fn numbers_strings_and_nested_arrays_come_out_flat_and_in_order() {
    assert_eq!(
        small(
            r#"{"b": 1, "a": ["2", [3, "0x4"], [[5]]], "e": [], "t": true, "\u0061\u0062": "\u0036"}"#
        ),
        [
            ("b".to_owned(), vec![1]),
            ("a".to_owned(), vec![2, 3, 4, 5]),
            ("e".to_owned(), vec![]),
            ("t".to_owned(), vec![1]),
            ("ab".to_owned(), vec![6]),
        ]
    );
    assert_eq!(small("\u{feff} { } \n"), []);
}

#[test]
fn buses_become_names_with_dots_and_indices() {
    assert_eq!(
        small(r#"{"p": {"x": 1, "q": {"y": [2, 3]}}, "l": [[{"z": 4}], [{"z": [5]}]]}"#),
        [
            ("p.x".to_owned(), vec![1]),
            ("p.q.y".to_owned(), vec![2, 3]),
            ("l[0][0].z".to_owned(), vec![4]),
            ("l[1][0].z".to_owned(), vec![5]),
        ]
    );
}

#[test]
fn a_signal_given_twice_is_refused_by_name() {
    for json in [
        r#"{"a": 1, "b": 2, "a": 1}"#,
        r#"{"a": {"b": 1}, "a": {"c": 1}}"#,
        r#"{"a": 1, "\u0061": 1}"#,
    ] {
        assert_eq!(refused(json), InputError::Duplicate { signal: "a".to_owned() });
    }
    let twice = InputError::Duplicate { signal: "a.b".to_owned() };
    assert_eq!(refused(r#"{"a.b": 1, "a": {"b": 1}}"#), twice);
    assert_eq!(refused(r#"{"a": {"b": 1, "b": 2}}"#), twice);
}

#[test]
fn a_value_that_is_no_integer_is_refused_by_signal_and_place() {
    for (json, index, why) in [
        (r#"{"s": 1.5}"#, 0, NumberError::NotAnInteger),
        (r#"{"s": [0, 1e3]}"#, 1, NumberError::NotAnInteger),
        (r#"{"s": [[0, 1], [2, "x"]]}"#, 3, NumberError::BadDigit),
        (r#"{"s": "1e3"}"#, 0, NumberError::BadDigit),
        (r#"{"s": ""}"#, 0, NumberError::Empty),
        (r#"{"s": null}"#, 0, NumberError::Null),
        (r#"{"s": "\u0031\n\""}"#, 0, NumberError::BadDigit),
    ] {
        assert_eq!(refused(json), InputError::Number { signal: "s".to_owned(), index, why });
    }
    let mixed = InputError::Mixed { signal: "s".to_owned() };
    assert_eq!(refused(r#"{"s": [1, {"x": 1}]}"#), mixed);
    assert_eq!(refused(r#"{"s": [[{"x": 1}], [1]]}"#), mixed);
}

#[test]
fn what_is_no_json_object_is_refused_by_place() {
    for json in ["[]", "5", "null", "\"a\""] {
        assert_eq!(refused(json), InputError::NotAnObject);
    }
    for (json, line, column, cut_short) in [
        ("", 1, 0, true),
        ("{\"a\": 1", 1, 7, true),
        ("{\"a\":\n 01}", 2, 3, false),
        ("{\"a\": 1} x", 1, 10, false),
        ("{\"a\": [1,]}", 1, 10, false),
        ("{'a': 1}", 1, 2, false),
    ] {
        assert_eq!(refused(json), InputError::Syntax { line, column, cut_short }, "{json}");
    }
    let bytes = Inputs::parse(b"{\"a\xff\": 1}", CurveId::Bn254, &Limits::default());
    assert_eq!(bytes.unwrap_err(), InputError::NotUtf8 { at: 3 });
}

#[test]
fn a_key_that_imitates_the_parsers_own_marks_is_an_ordinary_key() {
    for key in ["$serde_json::private::Number", "$serde_json::private::RawValue"] {
        assert_eq!(small(&format!("{{\"a\": {{\"{key}\": 7}}}}")), [(format!("a.{key}"), vec![7])]);
    }
}

#[test]
fn size_depth_and_number_of_values_are_bounded() {
    let limits = Limits { input_bytes: 100, input_values: 3, input_depth: 4, ..Limits::default() };
    let parse = |json: &str| Inputs::parse(json.as_bytes(), CurveId::Bn254, &limits).map(|_| ());
    let signal = "a".to_owned();
    assert_eq!(parse(r#"{"a": [[[1]]]}"#), Ok(()));
    assert_eq!(
        parse(r#"{"a": [[[[1]]]]}"#),
        Err(InputError::TooDeep { signal: signal.clone(), limit: 4 })
    );
    assert_eq!(parse(r#"{"a": [1, 2, 3]}"#), Ok(()));
    assert_eq!(
        parse(r#"{"b": 0, "a": [1, 2, 3]}"#),
        Err(InputError::TooManyValues { signal, limit: 3 })
    );
    assert_eq!(
        parse(&format!("{{\"a\": {}}}", "1".repeat(100))),
        Err(InputError::TooLarge { bytes: 107, limit: 100 })
    );
}

#[test]
fn a_million_open_brackets_are_refused_without_recursion() {
    for open in ["[", "{\"a\":"] {
        let deep = format!("{{\"a\": {}", open.repeat(1_000_000));
        assert!(matches!(refused(&deep), InputError::Syntax { cut_short: true, .. }));
    }
    let closed = format!("{{\"a\": {}{}}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    assert!(matches!(refused(&closed), InputError::TooDeep { limit: 32, .. }));
}

#[test]
fn no_error_and_no_debug_output_repeats_a_value() {
    let secret = "918273645";
    for json in [
        format!("{{\"a\": {secret}.5}}"),
        format!("{{\"a\": \"{secret}x\"}}"),
        format!("{{\"a\": {secret} {secret}}}"),
        format!("[{secret}]"),
        format!("{{\"a\": [{secret}, {{\"b\": {secret}}}]}}"),
    ] {
        let error = refused(&json);
        assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
    }
    let inputs = parse(&format!("{{\"a\": {secret}}}")).unwrap();
    assert!(!format!("{inputs:?}").contains(secret));
}
