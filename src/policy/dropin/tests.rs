use super::*;
use proptest::prelude::*;

const PATH: &str = "/run/systemd/generator/docker.service.d/50-swarm-agent.env";

fn variable(name: &str, value: &str, secret: bool) -> Variable {
    Variable { name: name.into(), value: value.into(), secret }
}

#[test]
fn nothing_wanted_is_no_file() {
    assert_eq!(render(&Wanted::default(), PATH), Ok(Rendering::default()));
}

#[test]
fn what_is_wanted_stands_in_the_drop_in_and_secrets_do_not() {
    let wanted = Wanted {
        environment: vec![
            variable("HTTP_PROXY", "http://proxy.example:3128", false),
            variable("NO_PROXY", "a b,\"c\\d\",50%40", false),
            variable("HTTPS_PROXY", "http://me:s$cr`t%40\"\\@proxy:3128", true),
        ],
        cpus: Some("0-1,4".parse().unwrap()),
    };
    let rendering = render(&wanted, PATH).unwrap();
    let lines = [
        HEAD.trim_end(),
        "[Service]",
        "Environment=\"HTTP_PROXY=http://proxy.example:3128\"",
        r#"Environment="NO_PROXY=a b,\"c\\d\",50%%40""#,
        "EnvironmentFile=-/run/systemd/generator/docker.service.d/50-swarm-agent.env",
        "CPUAffinity=",
        "CPUAffinity=0-1,4",
        "",
    ];
    assert_eq!(rendering.drop_in.as_deref(), Some(lines.join("\n").as_str()));
    let secrets = "HTTPS_PROXY=\"http://me:s\\$cr\\`t%40\\\"\\\\@proxy:3128\"\n";
    assert_eq!(rendering.secrets.as_deref(), Some(secrets));
}

#[test]
fn what_systemd_would_drop_is_refused_by_name() {
    for (name, value, error) in [
        ("", "x", r#""" is no name of a variable: it takes letters, digits and _, and no digit comes first"#),
        ("1A", "x", r#""1A" is no name of a variable: it takes letters, digits and _, and no digit comes first"#),
        ("A=B", "x", r#""A=B" is no name of a variable: it takes letters, digits and _, and no digit comes first"#),
        ("Ä", "x", r#""Ä" is no name of a variable: it takes letters, digits and _, and no digit comes first"#),
        ("A", "x\ny", r"the value of A holds '\n', which systemd takes for no part of a value"),
        ("A", "x\0y", r"the value of A holds '\0', which systemd takes for no part of a value"),
        ("A", "\u{7f}", r"the value of A holds '\u{7f}', which systemd takes for no part of a value"),
    ] {
        for secret in [false, true] {
            let wanted = Wanted { environment: vec![variable(name, value, secret)], cpus: None };
            assert_eq!(render(&wanted, PATH).unwrap_err().to_string(), error);
        }
    }
}

/// A line of a unit's file as systemd understands it.
fn understood(line: &str) -> Option<String> {
    let mut inside = line.strip_prefix("Environment=\"")?.strip_suffix('"')?.chars();
    let mut text = String::new();
    while let Some(character) = inside.next() {
        match character {
            '"' => return None,
            '\\' => text.push(inside.next().filter(|escaped| matches!(escaped, '\\' | '"'))?),
            '%' => text.push(inside.next().filter(|specifier| *specifier == '%')?),
            other => text.push(other),
        }
    }
    Some(text)
}

proptest! {
    /// Whatever value: it is on one line, nothing in it ends the quotes, and it comes out as it went in.
    #[test]
    fn every_value_comes_out_as_it_went_in(value in "\\PC{0,40}") {
        prop_assume!(!value.contains(char::is_control));
        let wanted = Wanted { environment: vec![variable("A", &value, false)], cpus: None };
        let drop_in = render(&wanted, PATH).unwrap().drop_in.unwrap();
        let lines: Vec<_> = drop_in.split('\n').collect();
        prop_assert_eq!(lines.len(), 4, "{}", drop_in);
        prop_assert_eq!(understood(lines[2]), Some(format!("A={value}")));
    }
}
