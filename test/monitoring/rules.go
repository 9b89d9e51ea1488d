// Package monitoring tests what tells people of Assay's state: the alerts, by
// promtool, their runbooks, and the dashboard, by a Prometheus that scrapes a
// controller at work.
package monitoring

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"

	"github.com/assay-dev/assay/test/controlplane"
)

// Component is the folder of the kustomize component, from the root of the work
// tree.
const Component = "config/components/monitoring"

// Rule is an alert.
type Rule struct {
	Alert         string            `json:"alert"`
	Expr          string            `json:"expr"`
	For           string            `json:"for,omitempty"`
	KeepFiringFor string            `json:"keep_firing_for,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// Group is a group of alerts.
type Group struct {
	Name  string `json:"name"`
	Rules []Rule `json:"rules"`
}

// Groups are what Prometheus calls a rule file.
type Groups struct {
	Groups []Group `json:"groups"`
}

// Rules are all alerts, in their order.
func (g Groups) Rules() []Rule {
	var rules []Rule
	for _, group := range g.Groups {
		rules = append(rules, group.Rules...)
	}
	return rules
}

// ReadGroups reads the alerts of the component's PrometheusRule.
func ReadGroups() (Groups, error) {
	root, err := controlplane.Root()
	if err != nil {
		return Groups{}, err
	}
	path := filepath.Join(root, Component, "prometheusrule.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		return Groups{}, err
	}
	raw, err := yaml.YAMLToJSON(text)
	if err != nil {
		return Groups{}, fmt.Errorf("%s: %w", path, err)
	}
	var object struct {
		APIVersion string         `json:"apiVersion"`
		Kind       string         `json:"kind"`
		Metadata   map[string]any `json:"metadata"`
		Spec       Groups         `json:"spec"`
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&object); err != nil {
		return Groups{}, fmt.Errorf("%s: %w", path, err)
	}
	if object.Kind != "PrometheusRule" || len(object.Spec.Groups) == 0 {
		return Groups{}, fmt.Errorf("%s: expected a PrometheusRule with groups, found a %s with %d", path, object.Kind, len(object.Spec.Groups))
	}
	return object.Spec, nil
}

// Assets returns the folder of the programs prometheus and promtool, which
// hack/prometheus/build.sh makes, once, telling progress about it.
func Assets(progress io.Writer) (string, error) { return controlplane.Built("prometheus", progress) }
