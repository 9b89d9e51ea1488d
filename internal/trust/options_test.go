package trust

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

func TestOptions(t *testing.T) {
	root := newMirror(t, newClock().Now()).first
	tests := map[string]struct {
		options Options
		want    string // of the error; empty: none
	}{
		"nothing":             {Options{}, ""},
		"file":                {Options{File: "/trusted_root.json"}, ""},
		"mirror":              {Options{Mirror: "https://tuf.example.com/repository", TUFRoot: root}, ""},
		"mirror over http":    {Options{Mirror: "http://10.0.0.1:8080", TUFRoot: root}, ""},
		"file and mirror":     {Options{File: "/x", Mirror: "https://x", TUFRoot: root}, "--trusted-root excludes --tuf-mirror and --tuf-root"},
		"file and TUF root":   {Options{File: "/x", TUFRoot: root}, "--trusted-root excludes --tuf-mirror and --tuf-root"},
		"mirror alone":        {Options{Mirror: "https://x"}, "--tuf-mirror needs --tuf-root: a root.json of that repository, which the first refresh begins with"},
		"TUF root alone":      {Options{TUFRoot: root}, "--tuf-root needs --tuf-mirror: the repository that it is the root.json of"},
		"mirror without host": {Options{Mirror: "tuf.SECRET.com", TUFRoot: root}, "--tuf-mirror: expected https://<host>/<path>"},
		"mirror is a path":    {Options{Mirror: "file:///SECRET", TUFRoot: root}, "--tuf-mirror: expected https://<host>/<path>"},
		"mirror over ftp":     {Options{Mirror: "ftp://SECRET/x", TUFRoot: root}, "--tuf-mirror: expected https://<host>/<path>"},
		"mirror has a part":   {Options{Mirror: "https://x/#SECRET", TUFRoot: root}, "--tuf-mirror: expected https://<host>/<path>"},
		"mirror is no URL":    {Options{Mirror: "https://SECRET:x:y", TUFRoot: root}, "--tuf-mirror: not a URL"},
		"TUF root is none":    {Options{Mirror: "https://x", TUFRoot: []byte("SECRET")}, "--tuf-root: expected the root.json of a TUF repository, signed by its own keys"},
		"TUF root changed":    {Options{Mirror: "https://x", TUFRoot: flipped(root)}, "--tuf-root: expected the root.json of a TUF repository, signed by its own keys"},
		"TUF root too long":   {Options{Mirror: "https://x", TUFRoot: make([]byte, maxRootBytes+1)}, "--tuf-root: more than 262144 bytes"},
		"TUF root of Sigstore's metadata that is a trusted root": {Options{Mirror: "https://x", TUFRoot: rootJSON(t, oneRoot)},
			"--tuf-root: expected the root.json of a TUF repository, signed by its own keys"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			found := ""
			s, err := New(tt.options)
			if err != nil {
				found = err.Error()
			}
			if diff := cmp.Diff(tt.want, found); diff != "" {
				t.Fatalf("error (-expected +found):\n%s", diff)
			}
			if err != nil {
				return
			}
			if _, err := s.Snapshot(); err == nil || !strings.HasSuffix(err.Error(), ": not fetched yet") {
				t.Errorf("expected a Source without a root, found %v", err)
			}
		})
	}
}

func TestDefaultMirror(t *testing.T) {
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Snapshot()
	if want := "no trusted root: the TUF mirror tuf-repo-cdn.sigstore.dev: not fetched yet"; err == nil || err.Error() != want {
		t.Errorf("expected %q, found %v", want, err)
	}
}

// What directs other Sigstore clients does not direct this one, and it leaves
// nothing on the disk, nor reads what lies in the working directory.
func TestEnvironmentAndDisk(t *testing.T) {
	c := newClock()
	m, other := newMirror(t, c.Now()), newMirror(t, c.Now())
	other.target = rootJSON(t, otherRoot)
	other.publish()
	home, work := t.TempDir(), t.TempDir()
	elsewhere := filepath.Join(t.TempDir(), "root.json")
	write(t, elsewhere, other.first)
	for name, value := range map[string]string{
		"HOME": home, "XDG_CACHE_HOME": home, "XDG_CONFIG_HOME": home, "TMPDIR": home,
		"TUF_ROOT": home, "TUF_MIRROR": other.server.URL, "TUF_ROOT_JSON": elsewhere,
		"SIGSTORE_ROOT_FILE": elsewhere, "SIGSTORE_TUF_ROOT": home, "SIGSTORE_NO_CACHE": "false",
		"SIGSTORE_REKOR_PUBLIC_KEY": elsewhere, "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE": elsewhere,
	} {
		t.Setenv(name, value)
	}
	t.Chdir(work)
	// Validly signed and newer than what the mirror has: go-tuf's updater would
	// take it for the mirror's own.
	m.version["timestamp"] = 100
	before := m.state()
	m.publish()
	write(t, "timestamp.json", m.state()["timestamp.json"])
	m.restore(before)

	r := begin(t, c, m.options())
	r.wantRoot(oneRoot, 1)
	r.attempt()
	r.wantRoot(oneRoot, 1)
	r.wantFailures(0, "")
	if n := len(other.taken()); n != 0 {
		t.Errorf("another mirror was asked %d times", n)
	}
	for folder, want := range map[string]int{home: 0, work: 1} {
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) != want {
			t.Errorf("expected %d entries in %s, found %v", want, folder, entries)
		}
	}
}

// gathered are the values of the metrics by name.
func gathered(t *testing.T, s *Source) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(s.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			values[family.GetName()] = metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
		}
	}
	return values
}

func TestMetrics(t *testing.T) {
	const age, failures = "assay_trusted_root_age_seconds", "assay_trusted_root_refresh_failures_total"
	const expiry = "assay_trusted_root_expiry_timestamp_seconds"
	c := newClock()
	m := newMirror(t, c.Now())
	m.expires["timestamp"] = c.Now().Add(1000 * 3600e9)
	expires := float64(m.expires["timestamp"].Unix())
	m.publish()
	m.answer(status(500))
	r := begin(t, c, m.options())
	want := func(want map[string]float64) {
		t.Helper()
		if diff := cmp.Diff(want, gathered(t, r.Source)); diff != "" {
			t.Errorf("metrics (-expected +found):\n%s", diff)
		}
	}
	want(map[string]float64{failures: 1})
	r.attempt()
	want(map[string]float64{failures: 2})
	m.answer(nil)
	r.attempt()
	want(map[string]float64{age: 0, failures: 2, expiry: expires})
	c.advance(90e9)
	want(map[string]float64{age: 90, failures: 2, expiry: expires})
	m.answer(status(500))
	r.demand() // A minute later.
	want(map[string]float64{age: 150, failures: 3, expiry: expires})
	m.answer(nil)
	r.demand()
	want(map[string]float64{age: 0, failures: 3, expiry: expires})
	c.advance(1001 * 3600e9) // Expired: the age tells for how long.
	want(map[string]float64{age: 1001 * 3600, failures: 3, expiry: expires})
}
