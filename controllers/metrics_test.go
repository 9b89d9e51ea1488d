package controllers

import (
	"errors"
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/assay-dev/assay/internal/source"
	"github.com/assay-dev/assay/internal/verify"
)

// Panics are counted with whatever they ended in.
func TestPanicsOfAVerdict(t *testing.T) {
	tests := map[string]struct {
		err  error
		want int
	}{
		"none":      {nil, 0},
		"refused":   {&verify.Refusal{Panics: 2}, 2},
		"stopped":   {&verify.StoppedError{Panics: 3}, 3},
		"wrapped":   {fmt.Errorf("while testing: %w", &verify.Refusal{Panics: 4}), 4},
		"something": {errors.New("else"), 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := NewMetrics(MetricsOptions{})
			m.verdict(verify.Verified{}, tt.err)
			if found := testutil.ToFloat64(m.panics); found != float64(tt.want) {
				t.Errorf("expected %d, found %g", tt.want, found)
			}
		})
	}
}

// Only a yes counts as one, and only a refusal as a no.
func TestVerdictsAreCounted(t *testing.T) {
	m := NewMetrics(MetricsOptions{})
	m.verdict(verify.Verified{}, nil)
	m.verdict(verify.Verified{}, &source.Error{Kind: source.Transient, Reason: "RegistryUnavailable"})
	if n := testutil.CollectAndCount(m.verifications); n != 0 {
		t.Errorf("expected no verdict, found %d", n)
	}
	m.verdict(verify.Verified{}, &source.Error{Kind: source.Refused, Reason: "NoSignature"})
	if n := testutil.ToFloat64(m.verifications.WithLabelValues("refused", "NoSignature")); n != 1 {
		t.Errorf("expected a refusal, found %g", n)
	}
}
