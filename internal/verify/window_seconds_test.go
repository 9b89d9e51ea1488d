package verify

import (
	"testing"
	"time"
)

// Times are compared in whole seconds, as evidence has them: what a timestamp
// has beyond is cut off, not rounded.
func TestWindowInWholeSeconds(t *testing.T) {
	at := time.Unix(1_000_000, 0).UTC()
	for name, tt := range map[string]struct {
		from, until, made time.Time
		want              standing
	}{
		"until that second, and a bit":       {until: at, made: at.Add(999 * time.Millisecond), want: satisfying},
		"until that second, the next":        {until: at, made: at.Add(time.Second), want: mistimed},
		"from the next second, a bit before": {from: at.Add(time.Second), made: at.Add(999 * time.Millisecond), want: mistimed},
		"from that second, and a bit":        {from: at, made: at.Add(time.Nanosecond), want: satisfying},
		"from that second, a bit before":     {from: at, made: at.Add(-time.Nanosecond), want: mistimed},
		"before 1970, a bit before":          {from: time.Unix(-5, 0).UTC(), made: time.Unix(-6, 999).UTC(), want: mistimed},
	} {
		a := Authority{Name: "a", NotBefore: tt.from, NotAfter: tt.until}
		if got := a.timely([]time.Time{tt.made}); got.standing != tt.want {
			t.Errorf("%s: found %+v", name, got)
		}
		cut := a.timely([]time.Time{tt.made.Truncate(time.Second)})
		if got := a.timely([]time.Time{tt.made}); got != cut {
			t.Errorf("%s: with the evidence %+v, with the time %+v", name, cut, got)
		}
	}
	if got := (Authority{NotAfter: at}).timely(nil); got.standing != untimed {
		t.Errorf("without a time: %+v", got)
	}
	if got := (Authority{}).timely(nil); got.standing != satisfying {
		t.Errorf("without a window and a time: %+v", got)
	}
}
