package verify_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/sigstore"
)

// Every time that somebody trusted gives counts, also the second one by the
// same log or the same timestamp authority, in whatever order they come.
func TestEveryTrustedTimeCounts(t *testing.T) {
	for name, add := range map[string]func(s *sigstore.Signed){
		"log":                 func(s *sigstore.Signed) { s.Entries = append(s.Entries, loggedAgain(t, ours(t), s, hours(2))) },
		"timestamp authority": func(s *sigstore.Signed) { s.Timestamps = append(s.Timestamps, stampBy(t, ours(t), s, hours(2))) },
	} {
		t.Run(name, func(t *testing.T) {
			a := rightAttempt(t, sigstore.FormatBundle)
			a.certificate.NotBefore, a.certificate.NotAfter = hours(-3), hours(1)
			a.request.LogTime, a.request.Timestamp, a.request.TimestampTime = hours(-1), true, hours(-1)
			s := a.sign(t)
			wantVerified(t, a.policy(t), artifact, signatureOf(t, s))
			add(s)
			for range 2 {
				refusal := wantRefusal(t, verify.ReasonCertificateInvalid, a.policy(t), artifact, signatureOf(t, s))
				if !strings.Contains(refusal.Message, "was not valid when it was made") {
					t.Error(refusal.Message)
				}
				slices.Reverse(s.Entries)
				slices.Reverse(s.Timestamps)
			}
		})
	}
}
