package controllers

import "testing"

func TestNewer(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"10", "9", true},
		{"9", "10", false},
		{"10", "10", false},
		{"10", "", true},
		{"", "10", false},
		{"", "", false},
		{"x", "10", false}, // Nothing is known of versions that are no numbers.
	} {
		if got := newer(c.a, c.b); got != c.want {
			t.Errorf("%q, %q: expected %v, found %v", c.a, c.b, c.want, got)
		}
	}
}
