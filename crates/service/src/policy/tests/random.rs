//! Rules at random, asked for purposes at random: what is found, what is read and which
//! operations are open is what the rules say of each.

use salus_auth::{Action, Target};

use super::*;
use crate::choice::Choice;

const ROLES: [&str; 2] = ["x", "y"];
const PURPOSES: [&str; 6] = ["TREAT", "COC", "ETREAT", "HRESCH", "DSRCH", "HMARKT"];
/// Those of them that stand above others of them.
const ABOVE: [(&str, &str); 3] = [("COC", "TREAT"), ("ETREAT", "TREAT"), ("DSRCH", "HRESCH")];
const OPERATIONS: [&str; 3] = ["$everything", "$meta", "$purge-history"];

/// Type, id and the patient whose it is.
const RECORDS: [(&str, &str, &str); 5] = [
    ("Patient", "a", "a"),
    ("Patient", "b", "b"),
    ("Observation", "oa", "a"),
    ("Observation", "ob", "b"),
    ("Observation", "oc", "a"),
];

/// A rule of records or of operations.
#[derive(Debug)]
struct Said {
    allows: bool,
    role: Option<&'static str>,
    actions: Vec<&'static str>,
    kind: &'static str,
    condition: Option<&'static str>,
    purposes: Vec<&'static str>,
}

/// Somebody who asks, for what.
#[derive(Clone, Copy, Debug)]
struct Asker {
    role: &'static str,
    purpose: Option<&'static str>,
}

impl Said {
    fn any(choice: &mut Choice) -> Self {
        let of_operations = choice.below(3) == 0;
        let verbs: &[&str] = match of_operations {
            true => &OPERATIONS,
            false => &["read", "search", "delete", "*"],
        };
        let mut actions = vec![choice.of(verbs)];
        if choice.below(2) == 0 {
            actions.push(choice.of(verbs));
        }
        let conditions = [None, Some("?_id=a,oa,ob"), Some("Patient/a/*")];
        let purposes = match choice.below(2) {
            0 => Vec::new(),
            _ => (0..=choice.below(2))
                .map(|_| choice.of(&PURPOSES))
                .collect(),
        };
        Self {
            allows: choice.below(3) > 0,
            role: [None, Some("x"), Some("y")][choice.below(3) as usize],
            actions,
            kind: choice.of(&["Patient", "Observation", "*"]),
            condition: choice.of(&conditions).filter(|_| !of_operations),
            purposes,
        }
    }

    fn json(&self, at: usize) -> Value {
        let subject = self.role.map(|role| format!("role:{role}"));
        let mut rule = json!({"id": format!("r{at}"), "actions": self.actions,
            "effect": if self.allows { "allow" } else { "deny" },
            "subjects": [subject.unwrap_or("everyone".to_owned())], "kinds": [self.kind]});
        if let Some(condition) = self.condition {
            rule["condition"] = condition.into();
        }
        if !self.purposes.is_empty() {
            rule["purposes"] = json!(self.purposes);
        }
        rule
    }

    /// Whether it counts for somebody who does this to a type.
    fn is_about(&self, asker: Asker, action: &str, ty: &str) -> bool {
        let is_named = self.actions.contains(&action);
        let is_meant = is_named || !action.starts_with('$') && self.actions.contains(&"*");
        let is_kind = self.kind == "*" || self.kind == ty;
        let is_role = self.role.is_none_or(|role| role == asker.role);
        is_meant && is_kind && is_role && self.is_for(asker.purpose)
    }

    fn is_for(&self, purpose: Option<&str>) -> bool {
        let Some(stated) = purpose else {
            return self.purposes.is_empty() || !self.allows;
        };
        let is = |own: &&str| *own == stated || ABOVE.contains(&(stated, *own));
        self.purposes.is_empty() || self.purposes.iter().any(is)
    }

    fn has(&self, (_, id, patient): (&str, &str, &str)) -> bool {
        match self.condition {
            None => true,
            Some("Patient/a/*") => patient == "a",
            Some(_) => ["a", "oa", "ob"].contains(&id),
        }
    }
}

/// The records of a type to which somebody may do something.
fn meant(said: &[Said], asker: Asker, action: &str, ty: &str) -> BTreeSet<String> {
    let of_type = RECORDS.into_iter().filter(|record| record.0 == ty);
    let may = |record: &(&str, &str, &str)| {
        let about = said.iter().filter(|one| one.is_about(asker, action, ty));
        let matching: Vec<bool> = about
            .filter(|one| one.has(*record))
            .map(|one| one.allows)
            .collect();
        matching.contains(&true) && !matching.contains(&false)
    };
    of_type
        .filter(may)
        .map(|(ty, id, _)| format!("{ty}/{id}"))
        .collect()
}

/// What rules make of calling an operation that otherwise would, or would not, be allowed.
fn opens(said: &[Said], asker: Asker, operation: &str, ty: &str, otherwise: bool) -> bool {
    let about = said.iter().filter(|one| one.is_about(asker, operation, ty));
    let effects: Vec<bool> = about.map(|one| one.allows).collect();
    let names = |one: &&Said| {
        let is_kind = one.kind == "*" || one.kind == ty;
        one.allows && is_kind && one.actions.contains(&operation)
    };
    match effects.first() {
        _ if effects.contains(&false) => false,
        Some(_) => otherwise || operation == "$purge-history",
        None => otherwise && !said.iter().any(|one| names(&one)),
    }
}

fn subject(asker: Asker) -> Subject {
    let purpose = asker.purpose.map(|code| PurposeOfUse::parse(code).unwrap());
    user(asker.role, &["Practitioner/d"]).acting_for(purpose)
}

async fn check(world: &World, said: &[Said], asker: Asker, tally: &mut [usize; 4]) {
    for ty in ["Patient", "Observation"] {
        let told = format!("{asker:?} {ty} {said:#?}");
        let found = match &*world.finds(subject(asker), ty).await {
            "" | "Forbidden" => BTreeSet::new(),
            found => found.split(' ').map(str::to_owned).collect(),
        };
        assert_eq!(found, meant(said, asker, "search", ty), "{told}");
        tally[usize::from(!found.is_empty())] += 1;
        let read = meant(said, asker, "read", ty);
        for (_, id, _) in RECORDS.into_iter().filter(|record| record.0 == ty) {
            let refused = world.read(subject(asker), ty, id).await;
            assert_eq!(
                refused.is_none(),
                read.contains(&format!("{ty}/{id}")),
                "{id} {told}"
            );
        }
        let cx = world.as_one(subject(asker)).await;
        for (name, action) in [
            ("$everything", Action::Read),
            ("$meta", Action::Search),
            ("$purge-history", Action::PurgeHistory),
        ] {
            let operation = Operation::named(name.trim_start_matches('$')).unwrap();
            let target = Target::Type(ty);
            let plain = salus_auth::authorize(&cx.subject, SCOPE, action, target).is_ok();
            let called = (operation, action);
            let have = salus_auth::authorize_operation(&cx.subject, SCOPE, called, target);
            let want = opens(said, asker, name, ty, plain);
            assert_eq!(have.is_ok(), want, "{name} {told}");
            tally[2 + usize::from(want)] += 1;
        }
    }
}

#[tokio::test]
async fn what_may_be_done_is_what_each_rule_says_for_a_purpose() {
    let mut tally = [0; 4];
    for seed in 0..60 {
        let mut choice = Choice(seed);
        let world = World::new().await;
        let many = 2 + choice.below(6);
        let said: Vec<Said> = (0..many).map(|_| Said::any(&mut choice)).collect();
        let rules: Vec<Value> = said
            .iter()
            .enumerate()
            .map(|(at, one)| one.json(at))
            .collect();
        world.policy("p", json!(rules)).await.unwrap();
        for role in ROLES {
            let asker = |purpose| Asker { role, purpose };
            check(&world, &said, asker(None), &mut tally).await;
            for _ in 0..2 {
                let purpose = Some(choice.of(&PURPOSES));
                check(&world, &said, asker(purpose), &mut tally).await;
            }
        }
    }
    assert!(tally.iter().all(|many| *many > 80), "{tally:?}");
}
