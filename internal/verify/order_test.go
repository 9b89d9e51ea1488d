package verify

import (
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"
)

type panickingCandidate struct{}

func (panickingCandidate) entity(terms) (sigstore.SignedEntity, error) { panic("in a library") }
func (panickingCandidate) judge(terms, proof, v1.Hash) result          { panic("in a library") }

// A library that panics refuses.
func TestCertifyPanics(t *testing.T) {
	j := &judgement{}
	if got := j.certify(panickingCandidate{}, terms{}); got.verdict != wrongKey || got.standing != faulted || j.faults != 1 {
		t.Errorf("%+v", got)
	}
}

// An expression for anything is still for somebody.
func TestMatcherOfNobody(t *testing.T) {
	id, err := NewIdentity(IdentitySpec{IssuerRegExp: ".*", SubjectRegExp: ".*"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []claims{{}, {issuer: "a"}, {subject: "a"}} {
		if id.matches(c) {
			t.Errorf("%+v is somebody", c)
		}
	}
	if (Identity{}).matches(claims{}) || (matcher{}).matches("") {
		t.Error("nothing matches nobody")
	}
	for _, i := range []Identity{{}, {issuer: id.issuer}, {subject: id.subject}} {
		if !i.isZero() {
			t.Error("half an identity")
		}
	}
}

// The order of evidence is a strict one in which each field counts.
func TestOrderOfEvidence(t *testing.T) {
	at := func(n int64) time.Time { return time.Unix(n, 0).UTC() }
	entry := func(id string, index, when int64) *LogEntry {
		e := &LogEntry{LogID: id, Index: index}
		if when > 0 {
			e.IntegratedTime = at(when)
		}
		return e
	}
	sorted := []Signer{
		{Format: FormatBundle, Log: entry("b", 9, 1)},
		{Format: FormatBundle, Log: entry("a", 9, 2)},
		{Format: FormatBundle, Log: entry("b", 1, 2)},
		{Format: FormatBundle, Log: entry("b", 2, 2)},
		{Format: FormatBundle, Log: entry("b", 2, 2), SignedTimestamp: at(1)},
		{Format: FormatBundle, Log: entry("b", 2, 2), SignedTimestamp: at(2)},
		{Format: FormatBundle, Log: entry("b", 2, 2), SignedTimestamp: at(2), Extensions: []Extension{{"buildTrigger", "a"}}},
		{Format: FormatBundle, Log: entry("b", 2, 2), SignedTimestamp: at(2), Extensions: []Extension{{"buildTrigger", "b"}}},
		{Format: FormatBundle, Log: entry("a", 1, 0)}, // no promised time
		{Format: FormatBundle, Log: entry("b", 1, 0)},
		{Format: FormatBundle},
		{Format: FormatBundle, SignedTimestamp: at(1)},
		{Format: FormatCosign, Log: entry("a", 1, 1)},
	}
	// Without extensions "null" sorts after "[".
	sorted[5], sorted[6], sorted[7] = sorted[6], sorted[7], sorted[5]
	for i, a := range sorted {
		for k, b := range sorted {
			if got := a.before(b); got != (i < k) {
				t.Errorf("%d before %d: %t", i, k, got)
			}
		}
	}
}
