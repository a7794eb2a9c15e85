//! When a goal of the walk is reached.

use salus_auth::record::Goal;

use super::*;

fn goal(id: &str, step: Step) -> Goal {
    Goal {
        id: id.to_owned(),
        ty: "Patient".to_owned(),
        step,
        done: 0,
        total: 0,
        failed: 0,
    }
}

/// What is left after a step to a place.
#[track_caller]
fn check(goals: &[(&str, Step)], to: u64, left: &[(&str, Step)], at: Option<u64>) {
    let mut index = Index {
        goals: goals.iter().map(|(id, step)| goal(id, *step)).collect(),
        places: vec![("Patient".to_owned(), 50)],
        ..Index::default()
    };
    let complete = advance(&mut index, "Patient", to, (5, 0));
    let found: Vec<_> = index
        .goals
        .iter()
        .map(|goal| (&*goal.id, goal.step))
        .collect();
    assert_eq!(found, left);
    assert_eq!(complete, left.len() < goals.len());
    let place = index.places.first().map(|(_, place)| *place);
    assert_eq!(place, at);
    assert!(index.goals.iter().all(|goal| goal.done == 5));
}

#[test]
fn a_goal_is_reached_when_the_walk_is_back_where_it_began() {
    check(
        &[("a", Step::Since(TOP))],
        40,
        &[("a", Step::Since(TOP))],
        Some(40),
    );
    check(&[("a", Step::Since(TOP))], 0, &[], None);
    check(
        &[("a", Step::Since(50))],
        0,
        &[("a", Step::Until(50))],
        None,
    );
    check(
        &[("a", Step::Until(30))],
        40,
        &[("a", Step::Until(30))],
        Some(40),
    );
    check(&[("a", Step::Until(30))], 30, &[], None);
    check(&[("a", Step::Until(30))], 0, &[], None);
}

#[test]
fn goals_that_came_at_different_places_do_not_wait_for_each_other() {
    let both = [("a", Step::Since(TOP)), ("b", Step::Since(50))];
    check(&both, 0, &[("b", Step::Until(50))], None);
    let both = [("a", Step::Until(45)), ("b", Step::Until(20))];
    check(&both, 40, &[("b", Step::Until(20))], Some(40));
}

#[test]
fn a_goal_with_records_that_failed_is_over_and_not_reached() {
    let mut index = Index {
        goals: vec![goal("a", Step::Since(TOP)), goal("b", Step::Since(50))],
        ..Index::default()
    };
    assert!(!advance(&mut index, "Patient", 40, (5, 1)));
    assert!(advance(&mut index, "Patient", 0, (5, 0)));
    let found: Vec<_> = index.goals.iter().map(|goal| goal.step).collect();
    assert_eq!(found, [Step::Ended, Step::Until(50)]);
    assert!(advance(&mut index, "Patient", 40, (5, 0)));
    // Nothing more is done for them.
    assert!(!advance(&mut index, "Patient", 0, (5, 0)));
    let found: Vec<_> = index
        .goals
        .iter()
        .map(|goal| (goal.step, goal.done))
        .collect();
    assert_eq!(found, [(Step::Ended, 10), (Step::Ended, 15)]);
}
