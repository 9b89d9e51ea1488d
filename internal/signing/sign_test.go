package signing_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/assay-dev/assay/internal/signing"
	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/sigstore/server"
)

var formats = []verify.Format{verify.FormatCosign, verify.FormatBundle}

// TestSignWithKeys signs in each format, with each kind of key, under each set of
// witnesses: what can work is accepted from the registry by the key that signed
// and by no other, with the log required where there is one, and what cannot work
// is refused before anybody is asked.
func TestSignWithKeys(t *testing.T) {
	w := newWorld(t, true)
	for _, kind := range []string{"p256", "p384", "p521", "rsa", "ed25519"} {
		key, other := newKey(t, kind), newKey(t, kind)
		for _, format := range formats {
			for _, by := range []witness{{}, {log: 1}, {log: 2}, {stamp: true}, {log: 1, stamp: true}, {log: 2, stamp: true}} {
				t.Run(fmt.Sprintf("%s/%s/rekor %d, stamp %t", kind, format, by.log, by.stamp), func(t *testing.T) {
					digest := w.push(t, fmt.Sprintf("%s-%s-%d-%t", kind, format, by.log, by.stamp))
					for _, root := range []*verify.TrustedRoot{w.root, nil} {
						o := w.witnessed(w.options(format, key), by)
						o.Root = root
						asked := w.services.Asked(server.TSA)
						result, err := sign(t, o, digest)
						if want := cannotWork(kind, format, by); want != nil {
							if !errors.Is(err, want) || w.services.Asked(server.TSA) != asked || len(w.attached(t, digest)) != 0 {
								t.Errorf("expected %v and nobody asked, found %v", want, err)
							}
							continue
						}
						if again := root == nil && by.log == 2 && kind == "rsa" || root == nil && by.log == 2 && kind == "ed25519"; again && err != nil {
							continue // The log has the very same signature; see TestSameSignature.
						}
						if err != nil {
							t.Fatal(err)
						}
						if result.KeyFingerprint != key.Fingerprint() || len(result.Logs) != min(int(by.log), 1) || result.Verified != (root != nil) {
							t.Errorf("the result is %+v", result)
						}
					}
					if cannotWork(kind, format, by) != nil {
						return
					}
					signatures := w.attached(t, digest)
					for _, s := range signatures {
						if s.Format != format {
							t.Errorf("a signature of the format %s", s.Format)
						}
					}
					policy := func(of *signing.Key, mode verify.LogMode) verify.Policy {
						return trusting(verify.Authority{Keys: keys(t, of), TransparencyLog: mode, Root: w.root})
					}
					logged := map[bool]verify.Reason{true: "", false: verify.ReasonTransparencyLogMissing}[by.log != 0]
					if got := reason(t, policy(key, verify.LogRequire), digest, signatures); got != logged {
						t.Errorf("with the log required: expected %q, found %q", logged, got)
					}
					if got := reason(t, policy(key, verify.LogIgnore), digest, signatures); got != "" {
						t.Errorf("with the log ignored: refused: %s", got)
					}
					if got := reason(t, policy(other, verify.LogIgnore), digest, signatures); got != verify.ReasonKeyMismatch {
						t.Errorf("by another key: expected KeyMismatch, found %q", got)
					}
				})
			}
		}
	}
}

// cannotWork is why a key cannot be used, if it cannot.
func cannotWork(kind string, format verify.Format, by witness) error {
	switch {
	case by.log == 2 && format == verify.FormatCosign:
		return signing.ErrRekor2
	case by.log == 1 && kind != "p256" && kind != "rsa":
		return signing.ErrHash
	}
	return nil
}

// TestSignKeyless signs for the holder of a token: accepted for that identity and
// for no other, under every set of witnesses that says when.
func TestSignKeyless(t *testing.T) {
	for _, api := range []bool{true, false} {
		w := newWorld(t, api)
		for _, format := range formats {
			for _, by := range []witness{{}, {log: 1}, {log: 2}, {stamp: true}, {log: 1, stamp: true}, {log: 2, stamp: true}} {
				t.Run(fmt.Sprintf("referrers API %t/%s/rekor %d, stamp %t", api, format, by.log, by.stamp), func(t *testing.T) {
					digest := w.push(t, fmt.Sprintf("%s-%d-%t", format, by.log, by.stamp))
					o := w.witnessed(w.options(format, nil), by)
					o.Root = w.root
					before := time.Now().Truncate(time.Second)
					result, err := sign(t, o, digest)
					want := cannotWork("p256", format, by)
					if by.log != 1 && !by.stamp && want == nil {
						want = signing.ErrUnwitnessed
					}
					if want != nil {
						if !errors.Is(err, want) {
							t.Errorf("expected %v, found %v", want, err)
						}
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					signatures := w.attached(t, digest)
					mode := verify.LogIgnore
					if by.log != 0 {
						mode = verify.LogRequire
					}
					policy := func(issuer, subject string) verify.Policy {
						return trusting(verify.Authority{Identities: identities(t, issuer, subject), TransparencyLog: mode, Root: w.root})
					}
					if got := reason(t, policy(who.Issuer, who.Subject), digest, signatures); got != "" {
						t.Errorf("refused: %s", got)
					}
					if got := reason(t, policy(who.Issuer, who.Subject+"x"), digest, signatures); got != verify.ReasonIdentityMismatch {
						t.Errorf("for another subject: expected IdentityMismatch, found %q", got)
					}
					checkResult(t, w, result, format, by, digest.DigestStr(), before)
				})
			}
		}
	}
}

func checkResult(t *testing.T, w *world, got signing.Result, format verify.Format, by witness, digest string, before time.Time) {
	t.Helper()
	want := signing.Result{Repository: got.Repository, Digest: digest, Format: format, Issuer: who.Issuer, Subject: who.Subject, Verified: true}
	switch by.log {
	case 1:
		want.Logs = []signing.LogEntry{{URL: w.services.URL(server.Rekor1)}}
	case 2:
		want.Logs = []signing.LogEntry{{URL: w.services.URL(server.Rekor2)}}
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(signing.LogEntry{}, "ID", "Index", "IntegratedTime"), cmpopts.IgnoreFields(signing.Result{}, "Timestamps")); diff != "" {
		t.Errorf("the result (-want +got):\n%s", diff)
	}
	if len(got.Timestamps) != map[bool]int{true: 1}[by.stamp] {
		t.Errorf("expected a timestamp: %t, found %v", by.stamp, got.Timestamps)
	}
	for _, l := range got.Logs {
		if l.ID == "" || (l.IntegratedTime == nil) != (by.log == 2) || (l.IntegratedTime != nil && l.IntegratedTime.Before(before)) {
			t.Errorf("the log entry is %+v", l)
		}
	}
}

// TestSignTwice: the same key and document stand in a registry once without a
// log, and once more for each entry that a log makes.
func TestSignTwice(t *testing.T) {
	w := newWorld(t, true)
	key := newKey(t, "p256")
	for i, c := range []struct {
		by   witness
		want int
	}{{witness{}, 1}, {witness{}, 1}, {witness{log: 1}, 2}, {witness{stamp: true}, 3}} {
		if _, err := sign(t, w.witnessed(w.options(verify.FormatCosign, key), c.by), w.digest); err != nil {
			t.Fatal(err)
		}
		if got := len(w.attached(t, w.digest)); got != c.want {
			t.Errorf("step %d: expected %d signatures, found %d", i, c.want, got)
		}
	}
}

// TestSameSignature signs the same with a key that signs alike each time: Rekor v1
// gives out the entry that it has, Rekor v2 does not.
func TestSameSignature(t *testing.T) {
	w := newWorld(t, true)
	key := newKey(t, "rsa")
	first, err := sign(t, w.witnessed(w.options(verify.FormatCosign, key), witness{log: 1}), w.digest)
	if err != nil {
		t.Fatal(err)
	}
	second, err := sign(t, w.witnessed(w.options(verify.FormatCosign, key), witness{log: 1}), w.digest)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("another entry:\n%s", diff)
	}
	if got := len(w.attached(t, w.digest)); got != 1 {
		t.Errorf("expected 1 signature, found %d", got)
	}
	o := w.witnessed(w.options(verify.FormatBundle, key), witness{log: 2})
	if _, err := sign(t, o, w.digest); err != nil {
		t.Fatal(err)
	}
	var failed *signing.ServiceError
	if _, err := sign(t, o, w.digest); !errors.As(err, &failed) || !strings.Contains(err.Error(), "the log has this very signature already") {
		t.Errorf("expected to hear of the entry, found %v", err)
	}
}

// TestSeveralWitnesses: a bundle has room for several.
func TestSeveralWitnesses(t *testing.T) {
	w := newWorld(t, true)
	key := newKey(t, "p256")
	o := w.options(verify.FormatBundle, key)
	o.Services.Logs = []signing.Log{{URL: w.services.URL(server.Rekor1), Version: 1}, {URL: w.services.URL(server.Rekor2), Version: 2}}
	o.Services.TimestampAuthorities = []string{w.services.URL(server.TSA), w.services.URL(server.TSA)}
	o.Root = w.root
	result, err := sign(t, o, w.digest)
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Logs) != 2 || len(result.Timestamps) != 2 {
		t.Errorf("the result is %+v", result)
	}
	policy := trusting(verify.Authority{Keys: keys(t, key), TransparencyLog: verify.LogRequire, Root: w.root})
	if got := reason(t, policy, w.digest, w.attached(t, w.digest)); got != "" {
		t.Errorf("refused: %s", got)
	}
	o.Format = verify.FormatCosign
	o.Services.Logs = o.Services.Logs[:1]
	if _, err := sign(t, o, w.digest); !errors.Is(err, signing.ErrWitnesses) {
		t.Errorf("expected ErrWitnesses, found %v", err)
	}
}
