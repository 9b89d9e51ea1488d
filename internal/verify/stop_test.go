package verify_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/sigstore"
)

// after says stop from the n-th time on that it is asked, and counts.
type after struct{ n, asked int }

func (a *after) stop() bool {
	a.asked++
	return a.asked >= a.n
}

// A verdict that is stopped, wherever, is none: not a yes that was reached for
// one signature already, and not a no.
func TestStopped(t *testing.T) {
	right := rightAttempt(t, sigstore.FormatBundle)
	policy := threshold(1, right.policy(t).Authorities[0], authority(t, "keys", p256(t, "other"), p256(t, "signer")))
	for name, signatures := range map[string][]verify.Signature{
		"yes": {signatureOf(t, right.sign(t)), cosignSigned(t, artifact, p256(t, "signer")), bundleSigned(t, artifact, p256(t, "stranger"))},
		"no":  {cosignSigned(t, artifact, p256(t, "stranger")), {}, bundleSigned(t, another, p256(t, "signer"))},
	} {
		t.Run(name, func(t *testing.T) {
			never := &after{n: 1 << 30}
			want := outcome(verify.Verify(policy, artifact, signatures))
			if got := outcome(verify.Until(never.stop, policy, artifact, signatures)); got != want {
				t.Errorf("asked and not stopped, expected %s, found %s", want, got)
			}
			for n := 1; n <= never.asked; n++ {
				a := &after{n: n}
				v, err := verify.Until(a.stop, policy, artifact, signatures)
				var stopped *verify.StoppedError
				if !errors.As(err, &stopped) || !v.IsZero() || len(v.Signers()) != 0 {
					t.Fatalf("stopped at %d: found %+v, %v", n, v, err)
				}
				if stopped.Signatures != 3 || stopped.Panics != 0 || err.Error() != "the verdict on 3 signatures was stopped: nothing was judged" {
					t.Errorf("stopped at %d: %+v: %v", n, stopped, err)
				}
				if a.asked != n {
					t.Errorf("stopped at %d, and asked %d times", n, a.asked)
				}
			}
		})
	}
}

// Whoever said stop once is taken at the word, and not asked again.
func TestStoppedOnce(t *testing.T) {
	policy := threshold(1, authority(t, "a", p256(t, "a"), p256(t, "b")), authority(t, "b", p256(t, "alice")))
	signatures := signedBy(t, "alice", "bob")
	all := &after{n: 1 << 30}
	if _, err := verify.Until(all.stop, policy, artifact, signatures); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= all.asked; n++ {
		asked := 0
		once := func() bool { asked++; return asked == n }
		_, err := verify.Until(once, policy, artifact, signatures)
		var stopped *verify.StoppedError
		if !errors.As(err, &stopped) || asked != n {
			t.Errorf("at %d, asked %d times: found %v", n, asked, err)
		}
	}
}

// It is asked before every unit of work: each signature, with each authority,
// with each way in which a key signs; and not for bytes that were judged before.
func TestStopIsAsked(t *testing.T) {
	key := func(name string) verify.Authority {
		return authority(t, name, p256(t, "a"), p256(t, "b"), p256(t, "c"))
	}
	identity := rightAttempt(t, sigstore.FormatBundle).policy(t).Authorities[0]
	stranger, attested := cosignSigned(t, artifact, p256(t, "stranger")), attestation(t, p256(t, "a"), slsaPredicate)
	for name, tt := range map[string]struct {
		policy     verify.Policy
		signatures []verify.Signature
		asked      int
	}{
		"nothing to judge":          {threshold(1, key("x")), nil, 0},
		"one signature, three keys": {threshold(1, key("x")), []verify.Signature{stranger}, 1 + 1 + 3},
		"two authorities":           {threshold(1, key("x"), key("y")), []verify.Signature{stranger}, 1 + 2*(1+3)},
		"by identities":             {threshold(1, identity), []verify.Signature{stranger}, 1 + 1},
		"two signatures":            {threshold(1, key("x"), identity), []verify.Signature{stranger, bundleSigned(t, artifact, p256(t, "stranger"))}, 2 * (1 + 4 + 1)},
		"the same twice":            {threshold(1, key("x")), []verify.Signature{stranger, stranger}, 5},
		"unreadable":                {threshold(1, key("x")), []verify.Signature{{}}, 1},
		"an attestation":            {threshold(1, key("x")), []verify.Signature{attested}, 1},
		"the first key made it":     {threshold(1, key("x")), []verify.Signature{cosignSigned(t, artifact, p256(t, "a"))}, 1 + 1 + 1},
	} {
		a := &after{n: 1 << 30}
		_, _ = verify.Until(a.stop, tt.policy, artifact, tt.signatures)
		if a.asked != tt.asked {
			t.Errorf("%s: expected to be asked %d times, found %d", name, tt.asked, a.asked)
		}
	}
}

// What is decided without looking at a signature is not stopped.
func TestNotStopped(t *testing.T) {
	stop := func() bool { return true }
	many := make([]verify.Signature, verify.MaxSignatures+1)
	var policy *verify.PolicyError
	var tooMany *verify.TooManySignaturesError
	var refusal *verify.Refusal
	if _, err := verify.Until(stop, verify.Policy{}, artifact, many); !errors.As(err, &policy) {
		t.Error(err)
	}
	if _, err := verify.Until(stop, trusting(t, p256(t, "signer")), artifact, many); !errors.As(err, &tooMany) {
		t.Error(err)
	}
	if _, err := verify.Until(stop, denying(t, artifact), artifact, many); !errors.As(err, &refusal) || refusal.Reason != verify.ReasonDigestDenied {
		t.Error(err)
	}
}

// A panic outside of what is guarded is a no as well, and counted.
func TestPanicsOfOurOwn(t *testing.T) {
	key := p256(t, "signer")
	right := signedBy(t, "signer")
	rootless := trusting(t, key)
	rootless.Authorities[0].TransparencyLog, rootless.Authorities[0].Root = verify.LogRequire, new(verify.TrustedRoot)
	asked := 0
	for name, tt := range map[string]struct {
		stop   func() bool
		policy verify.Policy
		digest string
		starts string
	}{
		"at once":               {func() bool { panic("x") }, trusting(t, key), artifact, artifact},
		"after it was accepted": {func() bool { asked++; return asked == 5 && panics() }, threshold(1, authority(t, "a", key), authority(t, "b", key)), artifact, artifact},
		"nobody to ask":         {nil, trusting(t, key), artifact, artifact},
		"a root that is none":   {func() bool { return false }, rootless, artifact, artifact},
		"a digest that is none": {func() bool { return false }, rootless, strings.Repeat("\n", 1000), `"\n\n`},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := verify.Until(tt.stop, tt.policy, tt.digest, right)
			var refusal *verify.Refusal
			if !errors.As(err, &refusal) || refusal.Reason != verify.ReasonSignatureInvalid || refusal.Panics != 1 || !v.IsZero() {
				t.Fatalf("found %+v, %v", v, err)
			}
			if m := refusal.Message; !strings.HasPrefix(m, tt.starts) || !strings.Contains(m, ": expected a verdict, found a defect") || len(m) > 500 || strings.Contains(m, "\n") {
				t.Error(m)
			}
		})
	}
}

func panics() bool { panic(fmt.Sprint("after ", 5)) }
