package story

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/signing"
)

// series are the values of a metric by its labels, as "a=1 b=2", in the order
// of the labels' names.
func (w *world) series(name string) map[string]float64 {
	w.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	found := map[string]float64{}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			value := m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			found[strings.Join(labels, " ")] = value
		}
	}
	return found
}

func (w *world) awaitSeries(name string, want map[string]float64) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		diff := cmp.Diff(want, w.series(name))
		if diff == "" {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("waited %s for %s (-expected +found):\n%s", patience, name, diff)
		}
	}
}

// Every verdict is counted with its reason, and every condition is told for as
// long as its object is there.
func TestStoryMetrics(t *testing.T) {
	t.Parallel()
	eachRegistry(t, func(t *testing.T, w *world) {
		w.release("good", "1.0.0", "bundle")
		w.push("bad", "1.0.0", nil)
		w.apply("good", w.spec("good", nil))
		w.apply("bad", w.spec("bad", nil))
		w.apply("absent", w.spec("absent", nil))
		w.ready("good")
		w.settled("bad")
		w.settled("absent")

		const verdicts, conditions = "assay_verifications_total", "assay_modulesource_condition"
		w.awaitSeries(verdicts, map[string]float64{"reason=SignatureVerified result=verified": 1, "reason=NoSignature result=refused": 1})
		label := func(name, kind, status, reason string) string {
			return "name=" + name + " namespace=" + w.namespace + " reason=" + reason + " status=" + status + " type=" + kind
		}
		want := map[string]float64{
			label("good", "Ready", "True", "SignatureVerified"): 1, label("good", "Verified", "True", "SignatureVerified"): 1,
			label("good", "ArtifactInStorage", "True", "ArtifactPublished"): 1,
			label("bad", "Ready", "False", "NoSignature"):                   1, label("bad", "Verified", "False", "NoSignature"): 1,
			label("bad", "ArtifactInStorage", "False", "NoArtifact"): 1, label("bad", "Stalled", "True", "NoSignature"): 1,
			label("absent", "Ready", "False", "RepositoryNotFound"): 1, label("absent", "Verified", "Unknown", "RepositoryNotFound"): 1,
			label("absent", "ArtifactInStorage", "False", "NoArtifact"): 1, label("absent", "FetchFailed", "True", "RepositoryNotFound"): 1,
			label("absent", "Reconciling", "True", "Retrying"): 1,
		}
		w.awaitSeries(conditions, want)

		// An unchanged poll has no verdict; one under another policy has, and one
		// of a refused digest has again.
		w.poll("good")
		w.poll("bad")
		w.edit("good", trusts(inline("release-key", w.key, newKey(t, signing.ECDSAP256))))
		w.settled("good")
		w.edit("good", func(s *v1alpha1.ModuleSourceSpec) {
			s.Suspend = true
			trusts(inline("release-key", newKey(t, signing.ECDSAP256)))(s)
		})
		w.settled("good")
		w.awaitSeries(verdicts, map[string]float64{
			"reason=SignatureVerified result=verified": 2, "reason=NoSignature result=refused": 2, "reason=KeyMismatch result=refused": 1,
		})
		steps := w.series("assay_step_duration_seconds")
		for _, step := range []string{"resolve", "signatures", "verify", "fetch", "publish"} {
			if steps["step="+step] == 0 {
				t.Errorf("expected the step %s to be timed, found %v", step, steps)
			}
		}

		for _, name := range []string{"good", "bad", "absent"} {
			w.delete(object(w, name))
		}
		w.awaitSeries(conditions, map[string]float64{})
	})
}

// The log tells each transition once, with what a person needs to find it.
func TestStoryLog(t *testing.T) {
	t.Parallel()
	logged := &log{}
	w := newWorld(t, settings{options: logged.into})
	digest := w.release("app", "1.0.0", "bundle")
	w.apply("app", w.spec("app", nil))
	w.ready("app")
	w.again("app")
	unsigned := w.push("app", "1.1.0", nil)
	w.poll("app")
	w.again("app")
	w.stopController()

	var lines []string
	for line := range strings.Lines(logged.String()) {
		if strings.Contains(line, `"reason":`) && strings.Contains(line, `"level":"INFO"`) {
			lines = append(lines, line)
		}
	}
	if len(lines) != 2 {
		t.Fatalf("expected a line for each of two transitions, found %q", lines)
	}
	for i, texts := range [][]string{
		{`"reason":"SignatureVerified"`, digest, `"type":"Normal"`},
		{`"reason":"NoSignature"`, unsigned, `"type":"Warning"`},
	} {
		for _, text := range append(texts, w.namespace, `"name":"app"`) {
			if !strings.Contains(lines[i], text) {
				t.Errorf("expected %q in the log, found %s", text, lines[i])
			}
		}
	}
	if strings.Contains(logged.String(), `"level":"ERROR"`) {
		t.Errorf("expected no errors in the log, found\n%s", logged.String())
	}
}
