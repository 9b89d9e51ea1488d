package monitoring

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// prometheus is one that runs.
type prometheus struct {
	t       *testing.T
	address string
}

// scrapeConfig is a Prometheus in a hurry, with the settings of the
// ServiceMonitor that matter.
const scrapeConfig = `
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yaml]
scrape_configs:
- job_name: assay-controller-metrics
  honor_labels: true
  static_configs:
%s`

// startPrometheus starts Prometheus with the alerts; targets are addresses by
// the name of their Pod.
func startPrometheus(t *testing.T, targets map[string]string) *prometheus {
	t.Helper()
	folder := t.TempDir()
	writeRules(t, filepath.Join(folder, "rules.yaml"), groups(t))
	var static strings.Builder
	for pod, address := range targets {
		fmt.Fprintf(&static, "  - {targets: [%q], labels: {namespace: assay-system, pod: %s}}\n", address, pod)
	}
	config := filepath.Join(folder, "prometheus.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, scrapeConfig, static.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &prometheus{t: t, address: freeAddress(t)}
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(program(t, "prometheus"), "--config.file="+config, "--storage.tsdb.path="+filepath.Join(folder, "data"), "--web.listen-address="+p.address)
	cmd.Dir, cmd.Stdout, cmd.Stderr = folder, log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if said, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("the log of Prometheus ends with:\n%s", said[max(0, len(said)-2000):])
		}
	})
	await(t, "Prometheus is ready", func() error {
		response, err := http.Get("http://" + p.address + "/-/ready")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errors.New(response.Status)
		}
		return nil
	})
	return p
}

// freeAddress is an address on loopback that nothing listens on now.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// ask asks the HTTP API.
func (p *prometheus) ask(path string, parameters url.Values, into any) error {
	response, err := http.Get("http://" + p.address + "/api/v1/" + path + "?" + parameters.Encode())
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var answer struct {
		Status   string
		Error    string
		Warnings []string
		Data     json.RawMessage
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("%s: %w", body, err)
	}
	if answer.Status != "success" || len(answer.Warnings) > 0 {
		return fmt.Errorf("%s: %s %v", answer.Status, answer.Error, answer.Warnings)
	}
	return json.Unmarshal(answer.Data, into)
}

// query asks a query as a panel does, and expects something.
func (p *prometheus) query(expr string, instant bool, from, to time.Time) ([]Result, error) {
	path, parameters := "query", url.Values{"query": {expr}, "time": {seconds3(to)}}
	if !instant {
		path, parameters = "query_range", url.Values{"query": {expr}, "start": {seconds3(from)}, "end": {seconds3(to)}, "step": {"1"}}
	}
	var data struct {
		Result []struct {
			Metric map[string]string
			Value  *Sample
			Values []Sample
		}
	}
	if err := p.ask(path, parameters, &data); err != nil {
		return nil, fmt.Errorf("%s: %w", expr, err)
	}
	var found []Result
	for _, r := range data.Result {
		if r.Value != nil {
			r.Values = append(r.Values, *r.Value)
		}
		found = append(found, Result{Labels: r.Metric, Samples: numbersOnly(r.Values)})
	}
	for _, r := range found {
		if len(r.Samples) > 0 {
			return found, nil
		}
	}
	return nil, fmt.Errorf("%s: expected something, found nothing", expr)
}

func numbersOnly(samples []Sample) []Sample {
	var kept []Sample
	for _, s := range samples {
		if s.Value == s.Value { // Not NaN, which Grafana does not draw.
			kept = append(kept, s)
		}
	}
	return kept
}

func seconds3(t time.Time) string { return fmt.Sprintf("%.3f", float64(t.UnixMilli())/1000) }

// alertsIn are the alerts in a state, "name namespace/name" each, or "name host".
func (p *prometheus) alertsIn(state string) (map[string]bool, error) {
	var data struct {
		Groups []struct {
			Rules []struct {
				Name, Health, LastError string
				Alerts                  []struct {
					State  string
					Labels map[string]string
				}
			}
		}
	}
	if err := p.ask("rules", nil, &data); err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, g := range data.Groups {
		for _, r := range g.Rules {
			if r.Health == "err" || r.LastError != "" {
				p.t.Errorf("%s: %s", r.Name, r.LastError)
			}
			for _, a := range r.Alerts {
				if a.State == state {
					found[strings.TrimSpace(r.Name+" "+a.Labels["name"]+a.Labels["host"])] = true
				}
			}
		}
	}
	return found, nil
}

// patience is how long a test waits for a condition; shared machines are slow
// at times.
const patience = 3 * time.Minute

// await asks until the answer is no error.
func await(t *testing.T, what string, ask func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s until %s: %v", patience, what, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
