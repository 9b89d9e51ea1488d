package controllers

import (
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/assay-dev/assay/api/v1alpha1"
)

// One that waits for its registry is not looked at again until something is
// different, or its turn has come.
func TestWaiting(t *testing.T) {
	const host = "registry.example.com"
	tests := map[string]struct {
		edit  func(*v1alpha1.ModuleSource)
		after time.Duration
		open  bool // the gate, by then
		waits bool
	}{
		"nothing is different": {after: time.Minute, waits: true},
		"its turn has come":    {after: time.Minute, open: true},
		"its spec was edited":  {edit: func(obj *v1alpha1.ModuleSource) { obj.Generation++ }, after: time.Minute},
		"it is another object": {edit: func(obj *v1alpha1.ModuleSource) { obj.UID = "other" }, after: time.Minute},
		"an interval is over":  {after: 5 * time.Minute},
		"a person asks": {edit: func(obj *v1alpha1.ModuleSource) {
			obj.Annotations = map[string]string{meta.ReconcileRequestAnnotation: "now"}
		}, after: time.Minute},
		"just before it is over": {after: 5*time.Minute - time.Millisecond, waits: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			now := noon
			r := &ModuleSourceReconciler{Now: func() time.Time { return now }}
			if delay := r.stillWaits(sourceOf(nil)); delay != 0 {
				t.Fatalf("expected one that never waited to be looked at, found a wait for %s", delay)
			}
			p, _ := r.gate.enter(host, now)
			r.gate.leave(p, now, true, time.Hour)
			within(t, "when it begins", r.waits(sourceOf(nil), host, time.Hour), 5*time.Minute, 5*time.Minute)
			if tt.open {
				r.gate = gate{}
			}
			now = now.Add(tt.after)
			delay := r.stillWaits(sourceOf(tt.edit))
			if (delay > 0) != tt.waits || delay > 5*time.Minute-tt.after+leastWait {
				t.Errorf("expected it to wait: %t, found %s", tt.waits, delay)
			}
			if _, kept := r.waiting.entries[types.NamespacedName{Namespace: "apps", Name: "app"}]; kept != tt.waits {
				t.Errorf("expected it to be remembered: %t", tt.waits)
			}
		})
	}
}
