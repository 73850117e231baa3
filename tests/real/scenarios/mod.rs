//! The scenarios: what must be true of releases on a real cluster.

mod beyond;
mod broken;
mod change;
mod chart;
mod colours;
mod comparison;
mod conformance;
mod control;
mod crash;
mod dashboards;
mod deletion;
mod doctor;
mod faults;
mod gitops;
mod helm;
pub(crate) mod hooks;
mod plans;
mod quiet;
mod release;
mod removal;
mod routers;
mod service;
mod sharing;
mod size;
mod stages;
mod start;
mod uninstall;
mod verbs;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::Result;

use crate::scenario::Scenario;

/// A scenario under way.
type Run = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// One scenario: its claim and how it is tried.
pub(crate) struct Case {
    /// By which it can be chosen; several claims of one matter share it.
    pub(crate) number: u32,
    /// What must be true.
    pub(crate) name: &'static str,
    /// It disturbs the cluster, or measures seconds, so it runs after the others, alone.
    pub(crate) alone: bool,
    pub(crate) run: fn(Arc<Scenario>) -> Run,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.name)
    }
}

impl Case {
    /// A short name for namespaces and folders.
    pub(crate) fn folder(&self) -> String {
        let name: String = self.name.replace('_', "-").chars().take(40).collect();
        format!("s{}-{}", self.number, name.trim_end_matches('-'))
    }
}

macro_rules! case {
    ($number:literal, $module:ident :: $name:ident) => {
        case!($number, $module::$name, false)
    };
    ($number:literal, $module:ident :: $name:ident, $alone:literal) => {
        Case {
            number: $number,
            name: stringify!($name),
            alone: $alone,
            run: |scenario| Box::pin(async move { $module::$name(&scenario).await }),
        }
    };
}

/// All scenarios, in the order in which they run.
pub(crate) static ALL: &[Case] = &[
    // First those that take two minutes and more, so that none of them stands alone at the end.
    case!(21, stages::the_pipeline_ships_the_good_and_stops_the_bad),
    case!(12, service::a_person_switches_there_and_back),
    case!(12, control::by_http_people_do_what_they_may),
    case!(
        21,
        uninstall::uninstalled_before_the_verdict_it_leaves_nothing
    ),
    case!(21, colours::behind_an_ingress_users_switch_and_come_back),
    case!(21, colours::blue_is_kept_and_then_replaced),
    case!(24, gitops::flux_waits_for_the_verdict),
    case!(24, gitops::flux_applies_again_under_a_hold),
    case!(21, helm::a_killed_runner_is_recovered),
    case!(25, hooks::flaggers_load_tester_holds_tests_and_takes_back),
    case!(26, routers::traefiks_own_service_shares_and_stays),
    case!(26, routers::contours_proxy_shares_and_stays),
    case!(26, routers::a_second_ingress_comes_and_goes),
    case!(26, routers::an_ingress_route_is_shared_and_given_back),
    case!(27, beyond::insiders_alone_try_a_release),
    case!(27, beyond::contours_users_are_told_apart_by_a_cookie),
    case!(27, beyond::a_header_decides_at_an_ingress),
    case!(27, beyond::a_step_sends_insiders_ahead),
    case!(27, beyond::contours_copies_find_errors_before_users_do),
    case!(28, sharing::users_stay_where_they_are),
    case!(28, sharing::contours_users_stay_where_they_are),
    case!(29, comparison::equal_errors_on_both_arms_are_promoted),
    case!(
        29,
        comparison::a_release_that_is_worse_than_stable_is_rejected
    ),
    case!(29, comparison::a_shared_outage_rolls_nobody_back),
    case!(15, conformance::the_gate_holds_beside_a_running_serin),
    case!(0, release::a_rollout_without_serin_loses_nothing),
    case!(1, release::a_good_release_is_promoted),
    case!(2, release::a_rejected_canary_is_kept_on_request),
    case!(2, release::errors_roll_back_and_say_so),
    case!(2, release::many_errors_roll_back_within_an_interval, true),
    case!(3, release::slow_replies_roll_back),
    case!(4, start::a_missing_image_is_rejected_within_45_seconds),
    case!(4, start::a_crash_loop_is_rejected_with_its_exit_code),
    case!(4, start::a_canary_that_is_never_ready_is_rejected),
    case!(4, start::a_failing_init_container_is_named),
    case!(4, start::no_room_on_the_node_is_said),
    case!(5, change::stable_put_back_aborts_and_restarts_nothing, true),
    case!(6, change::a_third_version_supersedes_and_starts_over),
    case!(6, change::a_third_version_in_promotion_waits_its_turn),
    case!(7, verbs::every_verb_works_once, true),
    case!(7, verbs::a_viewer_cannot_ask_for_a_verb),
    case!(9, faults::an_edited_route_is_put_right, true),
    case!(9, faults::a_deleted_route_is_made_again),
    case!(9, faults::a_deleted_canary_costs_no_release, true),
    case!(9, faults::a_killed_canary_pod_takes_its_traffic_away, true),
    case!(10, deletion::deleted_while_idle_it_moves_no_pod),
    case!(10, deletion::deleted_in_mid_canary_it_puts_stable_back),
    case!(
        10,
        deletion::deleted_while_promoting_it_ends_on_one_revision
    ),
    case!(10, deletion::deleted_after_a_rejection_it_releases_nothing),
    case!(
        10,
        deletion::deleted_with_policy_hold_it_leaves_the_target_paused
    ),
    case!(10, deletion::deleted_after_its_target_it_ends_too),
    case!(10, deletion::deleted_with_its_namespace_it_lets_go_at_once),
    case!(13, broken::every_broken_canary_is_refused_by_name),
    case!(16, quiet::an_equal_release_without_requests_is_promoted),
    case!(
        16,
        quiet::an_equal_release_at_one_request_in_5_s_is_promoted
    ),
    case!(
        16,
        quiet::an_equal_release_at_2_requests_a_second_is_promoted
    ),
    case!(
        16,
        quiet::an_equal_release_at_50_requests_a_second_is_promoted
    ),
    case!(18, release::the_fix_of_a_broken_stable_ships),
    case!(18, change::a_growing_target_grows_its_canary),
    case!(18, change::a_stable_made_smaller_is_widened_on_the_way_back),
    case!(19, change::from_zero_only_stable_comes_back),
    case!(20, size::an_idle_canary_costs_no_call),
    case!(20, size::a_step_takes_four_writes),
    case!(20, size::a_step_on_a_users_route_takes_five_writes),
    case!(21, helm::helm_returns_after_promotion),
    case!(21, helm::helm_fails_with_the_verdict),
    case!(21, helm::helm_hears_of_a_missing_image),
    case!(21, helm::helm_rolls_back_at_once),
    case!(21, helm::helm_3_waits_by_a_hook),
    case!(21, helm::an_abort_frees_helm),
    case!(21, helm::an_uninstalled_application_leaves_nothing),
    case!(21, helm::a_release_without_a_canary_goes_out_directly),
    case!(21, helm::values_alone_are_a_canary),
    case!(21, helm::the_guides_chart_is_upgraded),
    case!(21, helm::a_second_release_as_canary_is_refused),
    case!(21, helm::staging_values_release),
    case!(21, helm::production_values_release),
    case!(21, colours::green_is_tried_and_taken_back_at_once),
    case!(
        21,
        uninstall::uninstalled_after_the_verdict_it_leaves_nothing
    ),
    case!(21, plans::the_plan_of_an_upgrade_is_that_of_its_version),
    case!(23, dashboards::every_panel_and_alert_is_answered),
    case!(8, crash::a_killed_controller_comes_back_by_itself, true),
    case!(8, crash::a_crash_at_any_moment_changes_nothing, true),
    case!(14, crash::a_second_controller_takes_over, true),
    case!(
        9,
        faults::without_prometheus_it_holds_and_then_goes_on,
        true
    ),
    case!(9, faults::an_absent_api_server_changes_nothing, true),
    case!(9, faults::a_frozen_etcd_changes_nothing, true),
    case!(9, faults::a_lost_node_takes_the_canary_and_no_more, true),
    case!(9, faults::without_its_policies_the_gate_says_so, true),
    case!(9, doctor::the_doctor_names_each_thing_that_is_missing, true),
    case!(
        17,
        quiet::without_a_metrics_server_readiness_judges_and_says_so,
        true
    ),
    case!(20, size::a_hundred_canaries_fit_into_40_mib, true),
    case!(11, deletion::serin_comes_and_goes_unnoticed, true),
    case!(22, chart::helm_installs_upgrades_and_removes_serin, true),
    case!(22, removal::serin_is_not_removed_under_a_canary, true),
    case!(22, removal::serin_is_removed_after_a_rejection, true),
    // Last: its canary stays where it is, and whoever removes Serin after it would be refused.
    case!(
        22,
        removal::serin_is_removed_by_force_and_traffic_stays,
        true
    ),
];
