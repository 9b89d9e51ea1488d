package monitoring

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var picture = flag.String("picture", "", "file to draw the dashboard into, as SVG")

// TestDashboard has a Prometheus scrape two replicas of a controller at work,
// and asks it every query of the dashboard: none is empty. The alerts that are
// due fire, and no others.
func TestDashboard(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a control plane")
	}
	w := newWorld(t)
	w.past()
	replicas := map[string]string{"assay-controller-a": freeAddress(t), "assay-controller-b": freeAddress(t)}
	p := startPrometheus(t, replicas)
	started := time.Now()
	w.present(replicas)
	// The first request of a kind makes its series; those after it count.
	releases := 3
	if *picture != "" {
		releases = 15 // Something to look at.
	}
	for i := range releases {
		w.release(fmt.Sprintf("1.%d.0", i+1))
	}
	wantAlerts(t, p, w)

	d, err := ReadDashboard()
	if err != nil {
		t.Fatal(err)
	}
	wantVariables(t, p, d)
	for _, panel := range d.Panels {
		for _, target := range panel.Targets {
			await(t, panel.Title+" is not empty", func() error {
				now := time.Now()
				_, err := p.query(substituted(target.Expr), target.Instant, now.Add(-time.Minute), now)
				return err
			})
		}
	}
	wantMetrics(t, p, d)
	if *picture != "" {
		draw(t, p, d, started)
	}
}

// values are what a person chose.
var values = map[string]string{"namespace": appsNamespace, "name": "verified", "__rate_interval": "30s", "__range": "10m", "__interval": "1s"}

func substituted(expr string) string { return Substitute(expr, values) }

// wantAlerts waits until exactly the alerts that are due fire.
func wantAlerts(t *testing.T, p *prometheus, w *world) {
	t.Helper()
	want := []string{
		"AssayModuleRefused refused", "AssayNewerModuleRefused newer", "AssayModuleInvalid invalid", "AssayPollsFailing failing",
		"AssayModuleNotJudged busy-0", "AssayModuleNotJudged busy-1", "AssayModuleNotJudged busy-2",
		"AssayModuleNotJudged broken-0", "AssayModuleNotJudged broken-1", "AssayModuleNotJudged broken-2",
	}
	slices.Sort(want)
	await(t, "the alerts fire that are due", func() error {
		firing, err := p.alertsIn("firing")
		if found := slices.Sorted(maps.Keys(firing)); err == nil && !slices.Equal(found, want) {
			err = fmt.Errorf("expected %q, found %q", want, found)
		}
		return err
	})
	await(t, "the alert about the broken registry is pending", func() error {
		pending, err := p.alertsIn("pending")
		if err == nil && !pending["AssayRegistryErrors "+w.broken.Host()] {
			err = fmt.Errorf("pending are %v", pending)
		}
		return err
	})
}

// wantVariables asks for the choices of each variable.
func wantVariables(t *testing.T, p *prometheus, d Dashboard) {
	t.Helper()
	asked := 0
	for _, v := range d.Templating.List {
		m := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`).FindStringSubmatch(v.Definition)
		if v.Type != "query" || m == nil {
			continue
		}
		asked++
		found, err := p.query(substituted(m[1]), true, time.Time{}, time.Now())
		if err != nil {
			t.Errorf("$%s: %v", v.Name, err)
		}
		if !slices.ContainsFunc(found, func(r Result) bool { return r.Labels[m[2]] == values[v.Name] }) {
			t.Errorf("$%s: expected %s among %v", v.Name, values[v.Name], found)
		}
	}
	if asked != 2 {
		t.Errorf("expected two variables to ask for, found %d", asked)
	}
}

// elsewhere are metrics that this run has no cause to show.
var elsewhere = []string{
	"assay_trusted_root_expiry_timestamp_seconds", // a file does not expire
}

// wantMetrics: whatever an alert or a panel asks for is there, or it would be
// silent for ever.
func wantMetrics(t *testing.T, p *prometheus, d Dashboard) {
	t.Helper()
	var names []string
	if err := p.ask("label/__name__/values", nil, &names); err != nil {
		t.Fatal(err)
	}
	var exprs []string
	for _, rule := range groups(t).Rules() {
		exprs = append(exprs, rule.Expr)
	}
	for _, panel := range d.Panels {
		for _, target := range panel.Targets {
			exprs = append(exprs, target.Expr)
		}
	}
	exprs = append(exprs, documented(t, "promql")...)
	metric := regexp.MustCompile(`\b(?:assay|workqueue|controller_runtime|leader_election|rest_client|process)_[a-z_]+\b`)
	for _, expr := range exprs {
		for _, name := range metric.FindAllString(expr, -1) {
			if !slices.Contains(names, name) && !slices.Contains(elsewhere, name) {
				t.Errorf("%s: there is no metric %s", expr, name)
			}
		}
	}
}

// TestDashboardIsWhole: Grafana imports it, and people understand it.
func TestDashboardIsWhole(t *testing.T) {
	d, err := ReadDashboard()
	if err != nil {
		t.Fatal(err)
	}
	if d.UID == "" || d.Title == "" || d.SchemaVersion < 39 {
		t.Errorf("expected uid, title and schemaVersion of Grafana 11, found %q, %q, %d", d.UID, d.Title, d.SchemaVersion)
	}
	ids, rows := map[int]bool{}, 0
	taken := map[[2]int]string{}
	for _, panel := range d.Panels {
		if ids[panel.ID] {
			t.Errorf("%s: another panel has the id %d", panel.Title, panel.ID)
		}
		ids[panel.ID] = true
		for x := panel.GridPos.X; x < panel.GridPos.X+panel.GridPos.W; x++ {
			for y := panel.GridPos.Y; y < panel.GridPos.Y+panel.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s: overlaps %s, or is beyond the edge", panel.Title, other)
				}
				taken[[2]int{x, y}] = panel.Title
			}
		}
		if panel.Type == "row" {
			rows++
			continue
		}
		if panel.Description == "" || len(panel.Targets) == 0 {
			t.Errorf("%s: expected a description and a query", panel.Title)
		}
	}
	if rows != 4 {
		t.Errorf("expected the rows overview, one source, registries and controller, found %d", rows)
	}
}

// draw writes the picture.
func draw(t *testing.T, p *prometheus, d Dashboard, from time.Time) {
	t.Helper()
	now := time.Now()
	answers := map[int][][]Result{}
	for _, panel := range d.Panels {
		for _, target := range panel.Targets {
			found, err := p.query(substituted(target.Expr), target.Instant, from, now)
			if err != nil {
				t.Fatal(err)
			}
			answers[panel.ID] = append(answers[panel.ID], found)
		}
	}
	text := Draw(d, answers, values, from, now)
	if !strings.HasSuffix(text, "</svg>\n") {
		t.Error(errors.New("expected a picture"))
	}
	if err := os.WriteFile(*picture, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
