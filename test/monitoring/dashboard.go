package monitoring

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/assay-dev/assay/test/controlplane"
)

// Dashboard is as much of Grafana's dashboard as is drawn and asked here.
type Dashboard struct {
	UID           string  `json:"uid"`
	Title         string  `json:"title"`
	SchemaVersion int     `json:"schemaVersion"`
	Panels        []Panel `json:"panels"`
	Templating    struct {
		List []Variable `json:"list"`
	} `json:"templating"`
}

// Variable is what a person chooses above the panels.
type Variable struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	Definition string `json:"definition"`
}

// Panel is one picture.
type Panel struct {
	ID          int      `json:"id"`
	Type        string   `json:"type"`
	Title       string   `json:"title"`
	Description string   `json:"description"`
	GridPos     Grid     `json:"gridPos"`
	Targets     []Target `json:"targets"`
	FieldConfig struct {
		Defaults struct {
			Unit       string `json:"unit"`
			Thresholds struct {
				Steps []Step `json:"steps"`
			} `json:"thresholds"`
			Mappings []struct {
				Options map[string]Step `json:"options"`
			} `json:"mappings"`
		} `json:"defaults"`
		Overrides []struct {
			Matcher struct {
				ID      string `json:"id"`
				Options string `json:"options"`
			} `json:"matcher"`
			Properties []struct {
				ID    string `json:"id"`
				Value any    `json:"value"`
			} `json:"properties"`
		} `json:"overrides"`
	} `json:"fieldConfig"`
	Options struct {
		TextMode string `json:"textMode"`
	} `json:"options"`
	Transformations []struct {
		ID      string `json:"id"`
		Options struct {
			ExcludeByName map[string]bool   `json:"excludeByName"`
			IndexByName   map[string]int    `json:"indexByName"`
			RenameByName  map[string]string `json:"renameByName"`
		} `json:"options"`
	} `json:"transformations"`
}

// Grid is where a panel is, of 24 columns.
type Grid struct {
	X, Y, W, H int
}

// Step is a threshold or a mapping: its colour, and from which value or with
// which text.
type Step struct {
	Color string   `json:"color"`
	Value *float64 `json:"value"`
	Text  string   `json:"text"`
}

// Target is one query of a panel.
type Target struct {
	RefID        string `json:"refId"`
	Expr         string `json:"expr"`
	LegendFormat string `json:"legendFormat"`
	Instant      bool   `json:"instant"`
	Range        bool   `json:"range"`
}

// ReadDashboard reads the component's dashboard.
func ReadDashboard() (Dashboard, error) {
	root, err := controlplane.Root()
	if err != nil {
		return Dashboard{}, err
	}
	path := filepath.Join(root, Component, "dashboard.json")
	text, err := os.ReadFile(path)
	if err != nil {
		return Dashboard{}, err
	}
	var d Dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		return Dashboard{}, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

var variable = regexp.MustCompile(`\$(?:\{(\w+)\}|(\w+))`)

// Substitute puts values in place of the variables of a text, as Grafana does.
func Substitute(text string, values map[string]string) string {
	return variable.ReplaceAllStringFunc(text, func(found string) string {
		name := strings.Trim(found, "${}")
		if value, ok := values[name]; ok {
			return value
		}
		return found
	})
}
