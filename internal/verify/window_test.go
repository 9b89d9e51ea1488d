package verify_test

import (
	"strings"
	"testing"
	"time"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/sigstore"
)

// made is when the tests' signatures were made: in whole seconds, and in another
// zone than messages are in.
var made = time.Now().Add(-time.Hour).Truncate(time.Second).In(time.FixedZone("", 3*60*60))

// moment is a number of seconds after made; never is no time at all.
type moment int

const never moment = 1 << 30

func (m moment) time() time.Time {
	if m == never {
		return time.Time{}
	}
	return made.Add(time.Duration(m) * time.Second)
}

func (m moment) text() string { return m.time().UTC().Format("2006-01-02T15:04:05Z") }

// timed is a signature with trusted times.
type timed struct {
	log, stamp moment
	kind       sigstore.Log // Rekor v1 unless it is set
	mode       verify.LogMode
	edit       func(t testing.TB, s *sigstore.Signed)
}

func (w timed) request(format sigstore.Format) sigstore.Request {
	r := sigstore.Request{Digest: artifact, Format: format, Log: w.kind}
	if w.kind == sigstore.NoLog && w.log != never {
		r.Log, r.LogTime = sigstore.Rekor1, w.log.time()
	}
	if w.stamp != never {
		r.Timestamp, r.TimestampTime = true, w.stamp.time()
	}
	return r
}

// byIdentity and byKey are the same signature by each kind of signer, with the
// authority that trusts it.
func (w timed) byIdentity(t testing.TB, format sigstore.Format) (verify.Authority, verify.Signature) {
	t.Helper()
	a := rightAttempt(t, format)
	a.certificate.NotBefore, a.certificate.NotAfter = hours(-3), hours(3)
	a.request, a.edit = w.request(format), w.edit
	if w.mode != "" {
		a.mode = w.mode
	}
	return a.policy(t).Authorities[0], signatureOf(t, a.sign(t))
}

func (w timed) byKey(t testing.TB, format sigstore.Format) (verify.Authority, verify.Signature) {
	t.Helper()
	s, err := ours(t).Sign(sigstore.KeySigner(p256(t, "signer")), w.request(format))
	if err != nil {
		t.Fatal(err)
	}
	if w.edit != nil {
		w.edit(t, s)
	}
	a := authority(t, "key", p256(t, "signer"))
	a.TransparencyLog, a.Root = verify.LogRequire, trustedRoot(t, ours(t).Roots())
	return a, signatureOf(t, s)
}

// within is the authority with a window.
func within(a verify.Authority, from, until moment) verify.Authority {
	a.NotBefore, a.NotAfter = from.time(), until.time()
	return a
}

func laterEntry(t testing.TB, s *sigstore.Signed) {
	s.Entries = append(s.Entries, loggedAgain(t, ours(t), s, moment(5).time()))
}

func laterStamp(t testing.TB, s *sigstore.Signed) {
	s.Timestamps = append(s.Timestamps, stampBy(t, ours(t), s, moment(5).time()))
}

// Only what was made within its authority's window counts, in both formats, by
// keys and by identities.
func TestWindow(t *testing.T) {
	const onTime, late = 0, verify.ReasonTimeMismatch
	tests := map[string]struct {
		timed
		from, until moment
		reason      verify.Reason // none for a yes
		span        string        // of the verified times, in the message
		only        sigstore.Format
		identity    bool // for identities alone
	}{
		"no window":                               {timed: timed{onTime, onTime, "", "", nil}, from: never, until: never},
		"from before, until after":                {timed: timed{onTime, onTime, "", "", nil}, from: -1, until: 1},
		"from that second":                        {timed: timed{onTime, never, "", "", nil}, from: 0, until: never},
		"from a second later":                     {timed: timed{onTime, never, "", "", nil}, from: 1, until: never, reason: late},
		"until that second":                       {timed: timed{onTime, never, "", "", nil}, from: never, until: 0},
		"until a second earlier":                  {timed: timed{onTime, never, "", "", nil}, from: never, until: -1, reason: late},
		"that second alone":                       {timed: timed{onTime, onTime, "", "", nil}, from: 0, until: 0},
		"the second after":                        {timed: timed{onTime, onTime, "", "", nil}, from: 1, until: 1, reason: late},
		"the second before":                       {timed: timed{onTime, onTime, "", "", nil}, from: -1, until: -1, reason: late},
		"log within, timestamp later":             {timed: timed{0, 5, "", "", nil}, from: never, until: 4, reason: late, span: "from " + moment(0).text() + " to " + moment(5).text()},
		"log within, timestamp earlier":           {timed: timed{0, -5, "", "", nil}, from: -4, until: never, reason: late, span: "from " + moment(-5).text() + " to " + moment(0).text()},
		"timestamp within, log later":             {timed: timed{5, 0, "", "", nil}, from: never, until: 4, reason: late, span: "from " + moment(0).text() + " to " + moment(5).text()},
		"timestamp within, log earlier":           {timed: timed{-5, 0, "", "", nil}, from: -4, until: never, reason: late, span: "from " + moment(-5).text() + " to " + moment(0).text()},
		"both within, at either end":              {timed: timed{0, 5, "", "", nil}, from: 0, until: 5},
		"one on each side":                        {timed: timed{-5, 5, "", "", nil}, from: -4, until: 4, reason: late, span: "from " + moment(-5).text() + " to " + moment(5).text()},
		"a later entry in the same log":           {timed: timed{0, never, "", "", laterEntry}, from: never, until: 4, reason: late, span: "from " + moment(0).text() + " to " + moment(5).text(), only: sigstore.FormatBundle},
		"a later entry that is within":            {timed: timed{0, never, "", "", laterEntry}, from: never, until: 5, only: sigstore.FormatBundle},
		"a later timestamp by the same authority": {timed: timed{0, 0, "", "", laterStamp}, from: never, until: 4, reason: late, span: "from " + moment(0).text() + " to " + moment(5).text(), only: sigstore.FormatBundle},
		"Rekor v2, timestamp within":              {timed: timed{never, 0, sigstore.Rekor2, "", nil}, from: 0, until: 0, only: sigstore.FormatBundle},
		"Rekor v2, timestamp outside":             {timed: timed{never, 0, sigstore.Rekor2, "", nil}, from: 1, until: never, reason: late, only: sigstore.FormatBundle},
		"Rekor v2, no timestamp":                  {timed: timed{never, never, sigstore.Rekor2, "", nil}, from: -1000, until: 1 << 20, reason: verify.ReasonTimestampInvalid, only: sigstore.FormatBundle},
		"Rekor v1, no promise": {timed: timed{0, never, "", "", func(_ testing.TB, s *sigstore.Signed) { s.Entries[0].InclusionPromise = nil }},
			from: -1000, until: 1 << 20, reason: verify.ReasonTimestampInvalid, only: sigstore.FormatBundle},
		"log ignored, timestamp within":                   {timed: timed{never, 0, "", verify.LogIgnore, nil}, from: 0, until: 0, identity: true},
		"log ignored, timestamp outside":                  {timed: timed{never, 0, "", verify.LogIgnore, nil}, from: never, until: -1, reason: late, identity: true},
		"log ignored, timestamp within, entry later":      {timed: timed{5, 0, "", verify.LogIgnore, nil}, from: 0, until: 0, identity: true},
		"log ignored, timestamp outside, entry in window": {timed: timed{0, 5, "", verify.LogIgnore, nil}, from: 0, until: 0, reason: late, span: "at " + moment(5).text(), identity: true},
	}
	for name, tt := range tests {
		for by, sign := range map[string]func(testing.TB, sigstore.Format) (verify.Authority, verify.Signature){"key": tt.byKey, "identity": tt.byIdentity} {
			for _, format := range bothFormats {
				if (tt.only != "" && tt.only != format) || (tt.identity && by == "key") {
					continue
				}
				t.Run(name+"/"+by+"/"+string(format), func(t *testing.T) {
					a, signature := sign(t, format)
					policy := threshold(1, within(a, tt.from, tt.until))
					if tt.reason == "" {
						wantVerified(t, policy, artifact, signature)
						return
					}
					if tt.reason == late {
						wantVerified(t, threshold(1, a), artifact, signature) // but for the window
					}
					wantWindow(t, wantRefusal(t, tt.reason, policy, artifact, signature), tt.reason, tt.from, tt.until, tt.span)
				})
			}
		}
	}
}

// wantWindow checks that a message names the verified times and the window, or
// says that nobody knows the time.
func wantWindow(t *testing.T, refusal *verify.Refusal, reason verify.Reason, from, until moment, span string) {
	t.Helper()
	says := []string{"made at " + moment(0).text()}
	if span != "" {
		says = []string{"made " + span}
	}
	if from != never {
		says = append(says, " counts from "+from.text())
	}
	if until != never {
		says = append(says, " until "+until.text())
	}
	if reason == verify.ReasonTimestampInvalid {
		says = []string{"says when it was made"}
	}
	for _, part := range says {
		if !strings.Contains(refusal.Message, part) {
			t.Errorf("expected a message that says %q, found %s", part, refusal.Message)
		}
	}
	if refusal.ByRoot != (reason == verify.ReasonTimestampInvalid) {
		t.Errorf("by the root: %t", refusal.ByRoot)
	}
}

// The window is each authority's own: what one finds about a signature or its
// certificate is not another's.
func TestWindowIsEachAuthoritys(t *testing.T) {
	w := timed{log: 0, stamp: never}
	for by, sign := range map[string]func(testing.TB, sigstore.Format) (verify.Authority, verify.Signature){"key": w.byKey, "identity": w.byIdentity} {
		for _, format := range bothFormats {
			t.Run(by+"/"+string(format), func(t *testing.T) {
				a, signature := sign(t, format)
				past, open, now := within(a, never, -1), a, within(a, 0, 0)
				past.Name, open.Name, now.Name = "past", "open", "now"
				for _, all := range [][]verify.Authority{{past, open}, {open, past}, {past, now}, {now, past}} {
					v := wantVerified(t, threshold(1, all...), artifact, signature)
					if s := v.Signers(); len(s) != 1 || s[0].Authority == "past" {
						t.Errorf("unlikely evidence %+v", s)
					}
					refusal := wantRefusal(t, verify.ReasonThresholdNotMet, threshold(2, all...), artifact, signature)
					if !strings.Contains(refusal.Message, "past by none") {
						t.Error(refusal.Message)
					}
				}
			})
		}
	}
}

// One who signed too late does not count towards the threshold, and two who
// signed in time do.
func TestThresholdWithWindows(t *testing.T) {
	onTime, late := timed{log: 0, stamp: never}, timed{log: 5, stamp: 0}
	key, byKey := onTime.byKey(t, sigstore.FormatCosign)
	_, byKeyLate := late.byKey(t, sigstore.FormatBundle)
	identity, byIdentity := onTime.byIdentity(t, sigstore.FormatBundle)
	_, byIdentityLate := late.byIdentity(t, sigstore.FormatCosign)
	policy := threshold(2, within(key, -1, 4), within(identity, never, 4))
	wantVerified(t, policy, artifact, byKey, byIdentity)
	wantVerified(t, policy, artifact, byKeyLate, byIdentity, byIdentityLate, byKey)
	wantRefusal(t, verify.ReasonThresholdNotMet, policy, artifact, byKey, byIdentityLate)
	wantRefusal(t, verify.ReasonThresholdNotMet, policy, artifact, byKeyLate, byIdentity)
	wantRefusal(t, verify.ReasonTimeMismatch, policy, artifact, byKeyLate, byIdentityLate)
	policy.Authorities[1].NotAfter = moment(5).time()
	wantVerified(t, policy, artifact, byKey, byIdentityLate)
	// The evidence is of the signature that counts, not of the one that sorts first.
	policy = threshold(1, within(identity, 5, never))
	_, counts := timed{log: 5, stamp: never}.byIdentity(t, sigstore.FormatCosign)
	if s := wantVerified(t, policy, artifact, byIdentity, counts).Signers()[0]; s.Log.IntegratedTime.Unix() != moment(5).time().Unix() {
		t.Errorf("the evidence is of another signature: %+v", s)
	}
}

// Who may sign, over this digest and at the wrong time, got further than anybody
// else who is refused.
func TestStandingOfTheMistimed(t *testing.T) {
	w := timed{log: 0, stamp: never}
	key, byKey := w.byKey(t, sigstore.FormatBundle)
	identity, byIdentity := w.byIdentity(t, sigstore.FormatBundle)
	over := w.request(sigstore.FormatBundle)
	over.Digest = another
	signed, err := ours(t).Sign(sigstore.KeySigner(p256(t, "signer")), over)
	if err != nil {
		t.Fatal(err)
	}
	stranger := rightAttempt(t, sigstore.FormatBundle)
	be(stranger, sigstore.Email("dev@example.com", "https://accounts.example"))
	policy := threshold(1, within(key, never, -1), within(identity, 1, never))
	for _, mistimed := range []verify.Signature{byKey, byIdentity} {
		for name, below := range map[string]struct {
			signature verify.Signature
			reason    verify.Reason
		}{
			"over something else": {signatureOf(t, signed), verify.ReasonSignatureInvalid},
			"by another identity": {signatureOf(t, stranger.sign(t)), verify.ReasonIdentityMismatch},
			"not logged":          {cosignSigned(t, artifact, p256(t, "signer")), verify.ReasonTransparencyLogMissing},
			"malformed":           {verify.Signature{Format: verify.FormatBundle}, verify.ReasonSignatureInvalid},
		} {
			wantRefusal(t, below.reason, policy, artifact, below.signature)
			for _, all := range [][]verify.Signature{{below.signature, mistimed}, {mistimed, below.signature}} {
				if r := wantRefusal(t, verify.ReasonTimeMismatch, policy, artifact, all...); !strings.Contains(r.Message, "found 1 signature by a trusted signer at a time at which it does not count") {
					t.Errorf("%s: %s", name, r.Message)
				}
			}
		}
	}
	one := wantRefusal(t, verify.ReasonTimeMismatch, policy, artifact, byKey, byIdentity)
	other := wantRefusal(t, verify.ReasonTimeMismatch, policy, artifact, byIdentity, byKey)
	if one.Message != other.Message || !strings.Contains(one.Message, "found 2 signatures by") {
		t.Errorf("the message follows the order:\n%s\n%s", one.Message, other.Message)
	}
}
