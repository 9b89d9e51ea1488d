package main

// row is what a metric does not say of itself.
type row struct {
	kind string // its type
	// bound is how many series there may be of it; a histogram counts as one.
	bound string
}

const (
	eachSource = "one a source"
	one        = "1"
)

// rows are the metrics by name. A test compares the types with what is served.
var rows = map[string]row{
	"assay_modulesource_condition":                                   {"gauge", "6 a source: one for each condition that it has"},
	"assay_modulesource_condition_last_transition_timestamp_seconds": {"gauge", "2 a source"},
	"assay_modulesource_info":                                        {"gauge", eachSource + "; a new one with each revision"},
	"assay_modulesource_suspended":                                   {"gauge", eachSource},
	"assay_modulesource_interval_seconds":                            {"gauge", eachSource},
	"assay_modulesource_revision_first_seen_timestamp_seconds":       {"gauge", eachSource},
	"assay_modulesource_last_successful_poll_timestamp_seconds":      {"gauge", eachSource},
	"assay_verifications_total":                                      {"counter", "one a reason: see the README"},
	"assay_verification_panics_total":                                {"counter", one},
	"assay_retries_total":                                            {"counter", "one a reason"},
	"assay_step_duration_seconds":                                    {"histogram", "5"},
	"assay_first_seen_to_verified_seconds":                           {"histogram", one},
	"assay_registry_requests_total":                                  {"counter", "101 hosts, 29 codes, 6 kinds"},
	"assay_registry_request_duration_seconds":                        {"histogram", "6"},
	"assay_registry_received_bytes_total":                            {"counter", "101 hosts"},
	"assay_artifact_requests_total":                                  {"counter", "28"},
	"assay_artifact_sent_bytes_total":                                {"counter", one},
	"assay_artifacts":                                                {"gauge", one},
	"assay_artifact_bytes":                                           {"gauge", one},
	"assay_build_info":                                               {"gauge", one},
	"assay_trusted_root_age_seconds":                                 {"gauge", one},
	"assay_trusted_root_expiry_timestamp_seconds":                    {"gauge", one},
	"assay_trusted_root_refresh_failures_total":                      {"counter", one},
	"assay_notifications_total":                                      {"counter", "3"},
}
