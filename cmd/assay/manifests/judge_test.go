package manifests

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assay-dev/assay/internal/verify"
)

// TestJudgeIsBounded: no more at the same time than are wanted, and the results
// are in the order of the manifests.
func TestJudgeIsBounded(t *testing.T) {
	api, err := server()
	if err != nil {
		t.Fatal(err)
	}
	const most, all = 2, 24
	var text strings.Builder
	for i := range all {
		fmt.Fprintf(&text, "---\n%s", strings.Replace(spec("", keyless+"              subject: a@example.org\n"), "name: app", fmt.Sprintf("name: app-%02d", i), 1))
	}
	set := &Set{}
	(&parser{file: "a.yaml", set: set}).parse([]byte(text.String()))
	var running, peak, asked atomic.Int64
	judge := &Judge{
		Server: api, References: NewReferences(set, "default"), Namespace: "default", Concurrent: most, Now: time.Now,
		DefaultRoot: func() (*verify.TrustedRoot, error) {
			asked.Add(1)
			now := running.Add(1)
			defer running.Add(-1)
			for range 1000 { // Let others in, if any are there.
				peak.Store(max(peak.Load(), now))
				now = running.Load()
				runtime.Gosched()
			}
			return nil, errors.New("none")
		},
	}
	report := judge.All(t.Context(), set)
	if peak.Load() > most || asked.Load() != all {
		t.Errorf("expected at most %d at the same time of %d, found %d of %d", most, all, peak.Load(), asked.Load())
	}
	for i, r := range report.Results {
		if want := fmt.Sprintf("app-%02d", i); r.Name != want || r.Verdict != Unknown {
			t.Errorf("expected %s not to be judged, found %s: %s", want, r.Name, r.Verdict)
		}
	}
	if report.Summary.Unknown != all || report.Summary.IsNo() {
		t.Errorf("found %+v", report.Summary)
	}
}
