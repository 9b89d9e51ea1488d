// Command metricsdoc writes docs/metrics.md: what the metrics say of themselves,
// and the table beside it. Its argument is the file.
package main

import (
	_ "embed"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/assay-dev/assay/controllers"
	"github.com/assay-dev/assay/controllers/announce"
	"github.com/assay-dev/assay/internal/trust"
)

//go:embed page.tmpl
var around string

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "metricsdoc:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("expected the file to write, found %q", args)
	}
	text, err := page()
	if err != nil {
		return err
	}
	return os.WriteFile(args[0], []byte(text), 0o644)
}

// metric is one of them.
type metric struct {
	name   string
	labels []string
	help   string
}

// described are the metrics, in the order in which they are registered.
func described() ([]metric, error) {
	root, err := trust.New(trust.Options{})
	if err != nil {
		return nil, err
	}
	notifier, err := announce.NewNotifier("http://notification-controller/", "", logr.Discard())
	if err != nil {
		return nil, err
	}
	collectors := slices.Concat(controllers.NewMetrics(controllers.MetricsOptions{}).Collectors(), root.Collectors(), []prometheus.Collector{notifier.Collector()})
	var all []metric
	for _, c := range collectors {
		descs := make(chan *prometheus.Desc, 64)
		c.Describe(descs)
		close(descs)
		for desc := range descs {
			m, err := parse(desc.String())
			if err != nil {
				return nil, err
			}
			all = append(all, m)
		}
	}
	return all, nil
}

const quoted = `("(?:[^"\\]|\\.)*")`

var descPattern = regexp.MustCompile(`^Desc\{fqName: ` + quoted + `, help: ` + quoted + `, unit: "", constLabels: \{\}, variableLabels: \{(.*)\}\}$`)

// parse reads what a Desc, which has no other way to say it, prints.
func parse(desc string) (metric, error) {
	found := descPattern.FindStringSubmatch(desc)
	if found == nil {
		return metric{}, fmt.Errorf("expected a name, a help and variable labels, found %s", desc)
	}
	name, err := strconv.Unquote(found[1])
	if err != nil {
		return metric{}, err
	}
	help, err := strconv.Unquote(found[2])
	if err != nil {
		return metric{}, err
	}
	m := metric{name: name, help: help}
	if found[3] != "" {
		m.labels = strings.Split(found[3], ",")
	}
	return m, nil
}

// page is the whole document.
func page() (string, error) {
	all, err := described()
	if err != nil {
		return "", err
	}
	var table strings.Builder
	table.WriteString("| metric | type | meaning | series at most |\n|---|---|---|---|\n")
	for _, m := range all {
		row, ok := rows[m.name]
		if !ok {
			return "", fmt.Errorf("%s: expected a row in hack/metricsdoc/table.go, found none", m.name)
		}
		labels := ""
		if len(m.labels) > 0 {
			labels = "{" + strings.Join(m.labels, ",") + "}"
		}
		fmt.Fprintf(&table, "| `%s%s` | %s | %s | %s |\n", m.name, labels, row.kind, m.help, row.bound)
	}
	return strings.Replace(around, "{{table}}\n", table.String(), 1), nil
}
