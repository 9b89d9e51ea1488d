package story

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	eventv1 "github.com/fluxcd/pkg/apis/event/v1beta1"
	"github.com/google/go-cmp/cmp"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers"
)

// flux is a notification-controller that takes what has its format.
type flux struct {
	t   *testing.T
	url string

	mu    sync.Mutex
	hangs chan struct{}
	asked int
	found []eventv1.Event
}

func newFlux(t *testing.T) *flux {
	f := &flux{t: t}
	server := httptest.NewServer(f)
	f.url = server.URL + "/"
	t.Cleanup(func() { f.hang(false); server.Close() })
	return f
}

// hang makes it answer nothing, or again.
func (f *flux) hang(hangs bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if hangs {
		f.hangs = make(chan struct{})
	} else if f.hangs != nil {
		close(f.hangs)
		f.hangs = nil
	}
}

func (f *flux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	var e eventv1.Event
	if err := d.Decode(&e); err != nil {
		f.t.Errorf("what came is no event of Flux: %v", err)
	}
	f.mu.Lock()
	f.asked++
	hangs := f.hangs
	f.mu.Unlock()
	if hangs != nil {
		<-hangs
	}
	if r.Context().Err() != nil {
		return // Who asked has given up, and asks again.
	}
	f.mu.Lock()
	f.found = append(f.found, e)
	f.mu.Unlock()
	w.WriteHeader(http.StatusAccepted)
}

func (f *flux) events() []eventv1.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]eventv1.Event(nil), f.found...)
}

// Both say who, what and why of the same transitions. Only who signed what is
// published is named. A receiver that hangs keeps nothing waiting.
func TestStoryNotifications(t *testing.T) {
	t.Parallel()
	receiver := newFlux(t)
	w := newWorld(t, settings{options: func(o *controllers.Options) { o.EventsAddr = receiver.url }})
	first := w.release("app", "1.0.0", "bundle")
	w.create(&v1alpha1.ModuleSource{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "app", Annotations: map[string]string{"event.toolkit.fluxcd.io/env": "prod", "other": "x"}},
		Spec:       w.spec("app", nil),
	})
	w.settled("app")
	second := w.push("app", "1.1.0", versionFile("1.1.0"))
	w.sign("app", second, "bundle", newKey(t, "ecdsa-p256"))
	w.poll("app")
	told := w.tellsSoFar("app", "Normal SignatureVerified", "Warning KeyMismatch")
	signer := w.get("app").Status.Verification.Signatures[0].KeyFingerprint
	want := []map[string]string{
		{v1alpha1.EventRevision: "1.0.0@" + first, v1alpha1.EventDigest: first, v1alpha1.EventSigner: "key " + signer},
		{v1alpha1.EventRevision: "1.1.0@" + second, v1alpha1.EventDigest: second},
	}
	w.awaitThat("both are told of", func() bool { return len(receiver.events()) == 2 })
	sent := receiver.events()
	for i, severity := range []string{"info", "error"} {
		if diff := cmp.Diff(want[i], told[i].Annotations); diff != "" {
			t.Errorf("annotations of event %d (-expected +found):\n%s", i, diff)
		}
		want[i]["event.toolkit.fluxcd.io/env"] = "prod"
		e := sent[i]
		if diff := cmp.Diff(want[i], e.Metadata); diff != "" {
			t.Errorf("metadata of event %d (-expected +found):\n%s", i, diff)
		}
		if e.Severity != severity || e.Reason != told[i].Reason || e.Message != told[i].Note || e.ReportingController != "assay-controller" ||
			e.InvolvedObject != told[i].Regarding || e.InvolvedObject.Kind != "ModuleSource" || e.InvolvedObject.APIVersion != "source.assay.dev/v1alpha1" || e.Timestamp.IsZero() {
			t.Errorf("expected %s and the same as %+v, found %+v", severity, told[i], e)
		}
	}

	receiver.hang(true)
	w.release("app", "1.2.0", "bundle")
	w.poll("app")
	w.tellsSoFar("app", "Normal SignatureVerified", "Warning KeyMismatch", "Normal SignatureVerified")
	if n := len(receiver.events()); n != 2 {
		t.Errorf("the test is blind: expected the receiver to hang, found %d events", n)
	}
	receiver.hang(false)
	w.awaitThat("the third arrives", func() bool { return len(receiver.events()) == 3 })
}

// tellsSoFar is tells for before the end.
func (w *world) tellsSoFar(name string, want ...string) []eventsv1.Event {
	w.t.Helper()
	w.awaitThat(strings.Join(want, ", "), func() bool { return len(w.events(name)) >= len(want) })
	found := w.events(name)
	w.compareEvents(name, want, found)
	return found
}
