package story

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/controllers"
)

// tells are the events of a ModuleSource in their order, as "<type> <reason>".
// It waits for that many. To be called last: at the end of the test, when the
// controller has stopped, there must be no more of them.
func (w *world) tells(name string, want ...string) []eventsv1.Event {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	found := w.events(name)
	for ; len(found) < len(want) && time.Now().Before(deadline); found = w.events(name) {
		time.Sleep(20 * time.Millisecond)
	}
	if !w.compareEvents(name, want, found) {
		w.t.FailNow()
	}
	for _, e := range found {
		if e.Series != nil {
			w.t.Errorf("expected single events, found %s %d times", e.Reason, e.Series.Count)
		}
	}
	w.t.Cleanup(func() {
		w.stopController()
		w.compareEvents(name, want, w.events(name))
	})
	return found
}

func (w *world) compareEvents(name string, want []string, found []eventsv1.Event) bool {
	w.t.Helper()
	var lines []string
	for _, e := range found {
		lines = append(lines, e.Type+" "+e.Reason)
	}
	diff := cmp.Diff(want, lines)
	if diff == "" {
		return true
	}
	w.t.Errorf("events of %s (-expected +found):\n%s", name, diff)
	for _, e := range found {
		w.t.Logf("  %s %s: %s", e.Type, e.Reason, e.Note)
	}
	return false
}

func (w *world) events(name string) []eventsv1.Event {
	w.t.Helper()
	var list eventsv1.EventList
	if err := kube.List(background, &list, client.InNamespace(w.namespace)); err != nil {
		w.t.Fatal(err)
	}
	found := slices.DeleteFunc(list.Items, func(e eventsv1.Event) bool { return e.Regarding.Name != name })
	slices.SortFunc(found, func(a, b eventsv1.Event) int { return a.EventTime.Compare(b.EventTime.Time) })
	return found
}

// told demands that the last of the events names all of these texts.
func (w *world) told(events []eventsv1.Event, texts ...string) {
	w.t.Helper()
	if len(events) == 0 {
		w.t.Errorf("expected an event, found none")
		return
	}
	note := events[len(events)-1].Note
	for _, text := range texts {
		if !strings.Contains(note, text) {
			w.t.Errorf("expected an event with %q, found %q", text, note)
		}
	}
}

// asText is everything that can be read about a ModuleSource in the API: its
// status and its events.
func (w *world) asText(name string) string {
	w.t.Helper()
	status, err := json.Marshal(w.get(name).Status)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(status) + "\n" + fmt.Sprint(w.events(name))
}

// log collects what a controller logs, at every level.
type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// into makes the controller log here.
func (l *log) into(o *controllers.Options) {
	o.Log = logr.FromSlogHandler(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug - 10}))
}
