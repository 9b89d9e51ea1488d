package verify_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	rekorpb "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/sigstore"
)

// twoTSAs is a root with two timestamp authorities of different URIs: the
// library takes two timestamps of one URI for one.
func twoTSAs(t testing.TB, roots sigstore.Roots) *verify.TrustedRoot {
	t.Helper()
	raw, err := sigstore.TrustedRoot(roots, sigstore.Roots{TSA: theirs(t)})
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(raw, &root); err != nil {
		t.Fatal(err)
	}
	root["timestampAuthorities"].([]any)[1].(map[string]any)["uri"] = "https://other.example"
	parsed, err := verify.ParseTrustedRoot(marshal(t, root))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// stampBy is a timestamp of a signature, by any authority.
func stampBy(t testing.TB, by *sigstore.Sigstore, s *sigstore.Signed, at time.Time) []byte {
	t.Helper()
	stamp, err := by.Timestamp(s.Signature, at, false)
	if err != nil {
		t.Fatal(err)
	}
	return stamp
}

// Of several entries the one with the earliest promised time is reported, in
// whatever order they come.
func TestEarliestEntry(t *testing.T) {
	a := rightAttempt(t, sigstore.FormatBundle)
	s := a.sign(t)
	late, early := s.Entries[0], loggedAgain(t, ours(t), s, time.Now().Add(-30*time.Second))
	proofOnly := loggedAgain(t, ours(t), s, time.Now().Add(-40*time.Second))
	proofOnly.InclusionPromise = nil
	all := []*rekorpb.TransparencyLogEntry{late, early, proofOnly}
	for i := range all {
		s.Entries = []*rekorpb.TransparencyLogEntry{all[i], all[(i+1)%3], all[(i+2)%3]}
		log := wantVerified(t, a.policy(t), artifact, signatureOf(t, s)).Signers()[0].Log
		if log.Index != early.GetLogIndex() || log.IntegratedTime.Unix() != early.GetIntegratedTime() {
			t.Errorf("order %d: expected the earliest entry, found %+v", i, log)
		}
		if log.IntegratedTime.Location() != time.UTC {
			t.Error("a local time")
		}
	}
}

// The index that is reported is one that the log vouches for.
func TestProvenIndex(t *testing.T) {
	t.Run("proof only", func(t *testing.T) {
		a := rightAttempt(t, sigstore.FormatBundle)
		a.request.ProofOnly, a.request.Timestamp = true, true
		s := a.sign(t)
		s.Entries[0].LogIndex = 7 // nobody signed it
		log := wantVerified(t, a.policy(t), artifact, signatureOf(t, s)).Signers()[0].Log
		if log.Index != s.Entries[0].GetInclusionProof().GetLogIndex() {
			t.Errorf("an index that nobody vouches for: %+v", log)
		}
	})
	t.Run("Rekor v2", func(t *testing.T) {
		a := rightAttempt(t, sigstore.FormatBundle)
		a.request.Log, a.request.Timestamp = sigstore.Rekor2, true
		s := a.sign(t)
		want := s.Entries[0].GetLogIndex()
		s.Entries[0].InclusionProof.LogIndex += 7 // which the library does not look at
		log := wantVerified(t, a.policy(t), artifact, signatureOf(t, s)).Signers()[0].Log
		if log.Index != want {
			t.Errorf("an index that nobody vouches for: %+v", log)
		}
	})
	t.Run("Rekor v2 in v1", func(t *testing.T) {
		a := rightAttempt(t, sigstore.FormatBundle)
		a.request.Timestamp = true
		s := a.sign(t)
		s.Entries = []*rekorpb.TransparencyLogEntry{asRekor1(t, s)}
		s.Entries[0].LogIndex = 7
		wantRefusal(t, verify.ReasonTransparencyLogInvalid, a.policy(t), artifact, signatureOf(t, s))
	})
}

// Every timestamp counts, and the earliest is reported.
func TestTwoTimestamps(t *testing.T) {
	a := rightAttempt(t, sigstore.FormatBundle)
	a.certificate.NotBefore, a.certificate.NotAfter = hours(-3), hours(1)
	root := twoTSAs(t, a.roots)
	policy := keyless(t, root, verify.LogRequire, a.spec)
	for name, times := range map[string][2]time.Time{"in order": {hours(-2), hours(-1)}, "in reverse": {hours(-1), hours(-2)}} {
		t.Run(name, func(t *testing.T) {
			s := a.sign(t)
			s.Timestamps = [][]byte{stampBy(t, ours(t), s, times[0]), stampBy(t, theirs(t), s, times[1])}
			v := wantVerified(t, policy, artifact, signatureOf(t, s)).Signers()[0]
			if got := v.SignedTimestamp; got.Sub(hours(-2)).Abs() > time.Minute || got.Location() != time.UTC {
				t.Errorf("expected the earliest, found %s", got)
			}
			for i, by := range []*sigstore.Sigstore{ours(t), theirs(t)} {
				bad := s.Clone()
				bad.Timestamps[i] = stampBy(t, by, s, hours(2))
				refusal := wantRefusal(t, verify.ReasonCertificateInvalid, policy, artifact, signatureOf(t, bad))
				if !strings.Contains(refusal.Message, "was not valid when it was made") {
					t.Error(refusal.Message)
				}
			}
			retired := a.roots
			retired.Valid.Rekor2.End = time.Now().Add(-90 * time.Minute) // between the two
			b := *a
			b.request.Log = sigstore.Rekor2
			s = b.sign(t)
			s.Timestamps = [][]byte{stampBy(t, ours(t), s, times[0]), stampBy(t, theirs(t), s, times[1])}
			wantVerified(t, policy, artifact, signatureOf(t, s))
			wantRefusal(t, verify.ReasonTransparencyLogInvalid, keyless(t, twoTSAs(t, retired), verify.LogRequire, a.spec), artifact, signatureOf(t, s))
		})
	}
}

// A key's evidence has the timestamp too.
func TestKeyEvidence(t *testing.T) {
	key, at := p256(t, "signer"), time.Now().Truncate(time.Second)
	p := trusting(t, key)
	p.Authorities[0].TransparencyLog, p.Authorities[0].Root = verify.LogRequire, trustedRoot(t, ours(t).Roots())
	for _, format := range bothFormats {
		s, err := ours(t).Sign(sigstore.KeySigner(key), sigstore.Request{Digest: artifact, Format: format, Log: sigstore.Rekor1, Timestamp: true, TimestampTime: at})
		if err != nil {
			t.Fatal(err)
		}
		if got := wantVerified(t, p, artifact, signatureOf(t, s)).Signers()[0].SignedTimestamp; !got.Equal(at) {
			t.Errorf("%s: expected %s, found %s", format, at, got)
		}
		if format == sigstore.FormatCosign {
			s.Annotations = map[string]string{"dev.sigstore.cosign/bundle": "{"}
			wantRefusal(t, verify.ReasonTransparencyLogInvalid, p, artifact, signatureOf(t, s))
		}
	}
}

// Under a key with the log ignored a root is not looked at, nor are the
// timestamps that it would verify.
func TestKeyLooksAtNoRoot(t *testing.T) {
	key := p256(t, "signer")
	p := trusting(t, key)
	q := trusting(t, key)
	q.Authorities[0].Root = trustedRoot(t, ours(t).Roots())
	for _, format := range bothFormats {
		for name, by := range map[string]*sigstore.Sigstore{"ours": ours(t), "theirs": theirs(t)} {
			s, err := ours(t).Sign(sigstore.KeySigner(key), sigstore.Request{Digest: artifact, Format: format, Timestamp: true, TimestampBy: by})
			if err != nil {
				t.Fatal(err)
			}
			x := wantVerified(t, p, artifact, signatureOf(t, s)).Signers()
			y := wantVerified(t, q, artifact, signatureOf(t, s)).Signers()
			if diff := cmp.Diff(x, y); diff != "" {
				t.Errorf("%s, %s: the same hash and other evidence:\n%s", format, name, diff)
			}
		}
	}
}

// Of several signatures by one signer the evidence is of the one that sorts
// first: by format, then by log and time.
func TestEvidenceOfSeveral(t *testing.T) {
	at := func(format sigstore.Format, log, stamp time.Time) verify.Signature {
		a := rightAttempt(t, format)
		a.certificate.NotBefore, a.certificate.NotAfter = hours(-3), hours(1)
		a.request.LogTime, a.request.Timestamp, a.request.TimestampTime = log, !stamp.IsZero(), stamp
		return signatureOf(t, a.sign(t))
	}
	policy := rightAttempt(t, sigstore.FormatBundle).policy(t)
	want := hours(-2)
	bundle := []verify.Signature{at(sigstore.FormatBundle, want, time.Time{}), at(sigstore.FormatBundle, hours(-1), time.Time{})}
	for i := range bundle {
		s := wantVerified(t, policy, artifact, bundle[i], bundle[1-i]).Signers()[0]
		if s.Log.IntegratedTime.Unix() != want.Unix() {
			t.Errorf("expected the earliest, found %+v", s.Log)
		}
	}
	mixed := []verify.Signature{at(sigstore.FormatCosign, hours(-1), time.Time{}), bundle[0]}
	for i := range mixed {
		if s := wantVerified(t, policy, artifact, mixed[i], mixed[1-i]).Signers()[0]; s.Format != verify.FormatBundle {
			t.Errorf("expected a bundle, found %s", s.Format)
		}
	}
}
