package verify

import (
	"fmt"
	"slices"
	"time"
)

// hasWindow reports whether it matters when a signature was made.
func (a Authority) hasWindow() bool { return !a.NotBefore.IsZero() || !a.NotAfter.IsZero() }

// countsAt reports whether a signature of that time counts. What a time has
// beyond whole seconds does not: the evidence does not have it either.
func (a Authority) countsAt(t time.Time) bool {
	early := !a.NotBefore.IsZero() && t.Unix() < a.NotBefore.Unix()
	late := !a.NotAfter.IsZero() && t.Unix() > a.NotAfter.Unix()
	return !early && !late
}

// timely is how a signature over this digest, by who may sign for the authority,
// stands by the trusted times at which it was made: satisfying only if there is
// one, and all lie within the window, where the authority has one.
func (a Authority) timely(times []time.Time) finding {
	outside := func(t time.Time) bool { return !a.countsAt(t) }
	switch {
	case !a.hasWindow():
		return finding{standing: satisfying}
	case len(times) == 0:
		return finding{untimed, nobodySaysWhen}
	case slices.ContainsFunc(times, outside):
		return finding{mistimed, fmt.Sprintf("made %s, where %s counts %s", spanOf(times), a.Name, a.window())}
	default:
		return finding{standing: satisfying}
	}
}

// window names when the authority counts.
func (a Authority) window() string {
	switch {
	case a.NotAfter.IsZero():
		return "from " + written(a.NotBefore)
	case a.NotBefore.IsZero():
		return "until " + written(a.NotAfter)
	default:
		return "from " + written(a.NotBefore) + " until " + written(a.NotAfter)
	}
}

// spanOf names the first and the last of these times.
func spanOf(times []time.Time) string {
	first, last := written(slices.MinFunc(times, time.Time.Compare)), written(slices.MaxFunc(times, time.Time.Compare))
	if first == last {
		return "at " + first
	}
	return "from " + first + " to " + last
}

// written is a time in a message, in whole seconds.
func written(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// canonical is a time in the form that is hashed, "" for none.
func canonical(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// validateWindow refuses a window that nothing could ever satisfy.
func (a Authority) validateWindow(field string) error {
	for _, bound := range []struct {
		name string
		at   time.Time
	}{{".notBefore", a.NotBefore}, {".notAfter", a.NotAfter}} {
		switch {
		case bound.at.IsZero():
			continue
		case !a.needsRoot():
			return &PolicyError{field + bound.name, "expected none for a key with transparencyLog: Ignore, where nothing says when a signature was made, found " + written(bound.at)}
		case bound.at.Nanosecond() != 0:
			return &PolicyError{field + bound.name, "expected a time in whole seconds, found " + canonical(bound.at)}
		}
	}
	if !a.NotBefore.IsZero() && !a.NotAfter.IsZero() && a.NotAfter.Before(a.NotBefore) {
		return &PolicyError{field + ".notAfter", fmt.Sprintf("expected %s, which is notBefore, or later, found %s", written(a.NotBefore), written(a.NotAfter))}
	}
	return nil
}
