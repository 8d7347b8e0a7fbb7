//! The tools of the sample server: a calculator, and who is signed in, here and at GitHub.

use http::request::Parts;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{CallToolResult, ContentBlock, Extensions};
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::person::Person;
use super::{Sample, profile};
use crate::protocol::principal::Principal;

/// Two numbers.
#[derive(Deserialize, JsonSchema)]
struct Two {
    /// The first number
    a: f64,
    /// The second number
    b: f64,
}

/// A number and an exponent.
#[derive(Deserialize, JsonSchema)]
struct Power {
    /// The number
    base: f64,
    /// What it is raised to
    exponent: f64,
}

/// One number.
#[derive(Deserialize, JsonSchema)]
struct One {
    /// The number
    x: f64,
}

/// An angle.
#[derive(Deserialize, JsonSchema)]
struct Angle {
    /// The angle, in radians
    x: f64,
}

/// A number and the base of its logarithm.
#[derive(Deserialize, JsonSchema)]
struct Log {
    /// The number, greater than 0
    x: f64,
    /// The base, greater than 0 and not 1; left out: e, the natural logarithm
    base: Option<f64>,
}

/// What a factorial is taken of.
#[derive(Deserialize, JsonSchema)]
struct Factorial {
    /// A whole number from 0 to 170
    n: f64,
}

impl Sample {
    pub(super) fn tools() -> ToolRouter<Self> {
        Self::tool_router()
    }
}

#[tool_router]
#[expect(
    clippy::needless_pass_by_value,
    reason = "the macro hands over what it has taken out of the request"
)]
impl Sample {
    /// Adds two numbers
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn add(Parameters(Two { a, b }): Parameters<Two>) -> Answer {
        finite(a + b)
    }

    /// Subtracts the second number from the first
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn subtract(Parameters(Two { a, b }): Parameters<Two>) -> Answer {
        finite(a - b)
    }

    /// Multiplies two numbers
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn multiply(Parameters(Two { a, b }): Parameters<Two>) -> Answer {
        finite(a * b)
    }

    /// Divides the first number by the second, which must not be 0
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn divide(Parameters(Two { a, b }): Parameters<Two>) -> Answer {
        divide(a, b)
    }

    /// Raises a number to a power
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn power(Parameters(Power { base, exponent }): Parameters<Power>) -> Answer {
        power(base, exponent)
    }

    /// Takes the square root of a number, which must not be negative
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn sqrt(Parameters(One { x }): Parameters<One>) -> Answer {
        sqrt(x)
    }

    /// The sine of an angle in radians
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn sin(Parameters(Angle { x }): Parameters<Angle>) -> Answer {
        finite(x.sin())
    }

    /// The cosine of an angle in radians
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn cos(Parameters(Angle { x }): Parameters<Angle>) -> Answer {
        finite(x.cos())
    }

    /// The logarithm of a number greater than 0: natural, or to a base
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn log(Parameters(Log { x, base }): Parameters<Log>) -> Answer {
        log(x, base)
    }

    /// The factorial of a whole number from 0 to 170
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn factorial(Parameters(Factorial { n }): Parameters<Factorial>) -> Answer {
        factorial(n)
    }

    /// Who is signed in: account, name, verified e-mail address, client and scopes, as this server sees them
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn whoami(&self, extensions: Extensions) -> CallToolResult {
        let caller = extensions.get::<Parts>().and_then(Person::of);
        whoami(caller.as_ref().or(self.person.as_deref()))
    }

    /// The profile of the signed-in person at GitHub, fetched in their name with the token of their sign-in
    #[tool(annotations(read_only_hint = true, open_world_hint = true))]
    async fn github_profile(&self, extensions: Extensions) -> CallToolResult {
        let caller = extensions.get::<Parts>().map(Principal::of);
        match profile::of(caller.and_then(Result::ok), &self.github).await {
            Ok(profile) => {
                let text = ContentBlock::text(profile.text());
                let mut result = CallToolResult::success(vec![text]);
                result.structured_content = serde_json::to_value(&profile).ok();
                result
            }
            Err(why) => CallToolResult::error(vec![ContentBlock::text(why)]),
        }
    }
}

/// A number as text, or what is wrong with the arguments: a tool error, which the model reads and can put right.
type Answer = Result<String, String>;

fn finite(result: f64) -> Answer {
    if !result.is_finite() {
        return Err("the result is too large to be given as a number".to_owned());
    }
    // From here on plain digits would pretend a precision that is not there.
    if result.abs() >= 1e21 {
        return Ok(format!("{result:e}"));
    }
    // 0.0 and not -0.0, which nobody asked for.
    Ok((result + 0.0).to_string())
}

fn divide(a: f64, b: f64) -> Answer {
    if b == 0.0 {
        return Err(format!("cannot divide {a} by zero: b must not be 0"));
    }
    finite(a / b)
}

fn power(base: f64, exponent: f64) -> Answer {
    if base == 0.0 && exponent < 0.0 {
        return Err("zero has no negative power: that would be a division by zero".to_owned());
    }
    if base < 0.0 && exponent.fract() != 0.0 {
        return Err(format!(
            "{base} is negative: it has real powers for whole exponents alone, not for {exponent}"
        ));
    }
    finite(base.powf(exponent))
}

fn sqrt(x: f64) -> Answer {
    if x < 0.0 {
        return Err(format!("{x} is negative and has no real square root"));
    }
    finite(x.sqrt())
}

fn log(x: f64, base: Option<f64>) -> Answer {
    if x <= 0.0 {
        return Err(format!("{x} has no logarithm: x must be greater than 0"));
    }
    match base {
        None => finite(x.ln()),
        Some(base) if base <= 0.0 || base.ln() == 0.0 => Err(format!(
            "{base} is no base of a logarithm: base must be greater than 0 and not 1"
        )),
        // Exact where an ordinary logarithm by division would give 2.9999999999999996 for 1000.
        Some(10.0) => finite(x.log10()),
        Some(2.0) => finite(x.log2()),
        Some(base) => finite(x.log(base)),
    }
}

fn factorial(n: f64) -> Answer {
    if n.fract() != 0.0 || !(0.0..=170.0).contains(&n) {
        return Err(format!(
            "{n} has no factorial here: n must be a whole number from 0 to 170"
        ));
    }
    let factors = std::iter::successors(Some(1.0), |factor| Some(factor + 1.0));
    finite(factors.take_while(|factor| *factor <= n).product())
}

fn whoami(person: Option<&Person>) -> CallToolResult {
    let Some(person) = person else {
        let text = "nobody is signed in: this server runs without authorization";
        let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
        result.structured_content = Some(json!({ "signed_in": false }));
        return result;
    };
    let mut result = CallToolResult::success(vec![ContentBlock::text(person.text())]);
    result.structured_content = Some(person.json());
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_twelve_tools_and_none_writes_anything() {
        let tools = Sample::tools().list_all();
        let mut names: Vec<_> = tools.iter().map(|tool| tool.name.as_ref()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "add",
                "cos",
                "divide",
                "factorial",
                "github_profile",
                "log",
                "multiply",
                "power",
                "sin",
                "sqrt",
                "subtract",
                "whoami"
            ]
        );
        for tool in tools {
            assert!(tool.description.is_some(), "{}", tool.name);
            let hints = tool.annotations.unwrap();
            assert_eq!(hints.read_only_hint, Some(true), "{}", tool.name);
        }
    }

    #[test]
    fn numbers_come_out_as_people_write_them() {
        for (result, text) in [
            (3.0, "3"),
            (-2.5, "-2.5"),
            (-0.0, "0"),
            (1e20, "100000000000000000000"),
            (1e21, "1e21"),
            (-1.5e300, "-1.5e300"),
            (1e-7, "0.0000001"),
        ] {
            assert_eq!(finite(result).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_has_a_result_is_calculated() {
        for (answer, result) in [
            (divide(1.0, 4.0), "0.25"),
            (power(2.0, 10.0), "1024"),
            (power(-2.0, 3.0), "-8"),
            (power(0.0, 0.0), "1"),
            (sqrt(2.25), "1.5"),
            (log(1.0, None), "0"),
            (log(1000.0, Some(10.0)), "3"),
            (log(8.0, Some(2.0)), "3"),
            (log(9.0, Some(3.0)), "2"),
            (factorial(0.0), "1"),
            (factorial(5.0), "120"),
            (factorial(20.0), "2432902008176640000"),
            (factorial(170.0), "7.257415615307994e306"),
        ] {
            assert_eq!(answer.as_deref(), Ok(result));
        }
    }

    #[test]
    fn what_has_no_finite_result_is_explained() {
        for (answer, told) in [
            (divide(1.0, 0.0), "by zero"),
            (divide(1.0, -0.0), "by zero"),
            (divide(1e308, 1e-10), "too large"),
            (power(10.0, 400.0), "too large"),
            (power(0.0, -1.0), "division by zero"),
            (power(-1.0, 0.5), "whole exponents"),
            (sqrt(-1.0), "no real square root"),
            (log(0.0, None), "greater than 0"),
            (log(-1.0, Some(10.0)), "greater than 0"),
            (log(2.0, Some(1.0)), "not 1"),
            (log(2.0, Some(-3.0)), "not 1"),
            (factorial(171.0), "0 to 170"),
            (factorial(-1.0), "0 to 170"),
            (factorial(2.5), "whole number"),
        ] {
            let error = answer.unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
