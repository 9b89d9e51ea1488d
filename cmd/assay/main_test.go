package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// noon is when the commands run.
var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// runMain is set for a process that is to be the command line itself.
const runMain = "ASSAY_TEST_RUN_MAIN"

// TestMain keeps the user's own credentials and proxies out.
func TestMain(m *testing.M) {
	if os.Getenv(runMain) != "" {
		main()
		return
	}
	folder, err := os.MkdirTemp("", "assay")
	if err != nil {
		panic(err)
	}
	for name, value := range map[string]string{
		"DOCKER_CONFIG": folder, "XDG_RUNTIME_DIR": folder, "REGISTRY_AUTH_FILE": "",
		"HTTP_PROXY": "", "HTTPS_PROXY": "", "http_proxy": "", "https_proxy": "",
	} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	stopCluster()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

// ran is what a command line did.
type ran struct {
	code     int
	out, err string
}

// fakeTerminal is no terminal: pipes, as in CI.
func fakeTerminal() (t *terminal, out, err *bytes.Buffer) {
	out, err = &bytes.Buffer{}, &bytes.Buffer{}
	return &terminal{
		in: strings.NewReader(""), out: out, err: err, program: "assay",
		password: func() ([]byte, error) { panic("asked for a password without a terminal") },
		getenv:   func(string) string { return "" },
		now:      func() time.Time { return noon },
	}, out, err
}

// assay runs a command line as CI does.
func assay(t *testing.T, args ...string) ran {
	t.Helper()
	term, out, err := fakeTerminal()
	code := run(t.Context(), term, args)
	return ran{code, out.String(), err.String()}
}

// golden compares with testdata/<name>, in which what differs from run to run
// was replaced: pairs of what it is and what stands for it.
func golden(t *testing.T, name, got string, replace ...string) {
	t.Helper()
	got = strings.NewReplacer(replace...).Replace(got)
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: go test -update writes it", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}
