package verify_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/sigstore"
)

// reported is evidence as status has it: in whole seconds, in another zone.
func reported(signers []verify.Signer) []verify.Signer {
	zone := time.FixedZone("", 2*60*60)
	var all []verify.Signer
	for _, s := range signers {
		if !s.SignedTimestamp.IsZero() {
			s.SignedTimestamp = s.SignedTimestamp.Truncate(time.Second).In(zone)
		}
		if s.Log != nil {
			log := *s.Log
			if !log.IntegratedTime.IsZero() {
				log.IntegratedTime = log.IntegratedTime.In(zone)
			}
			s.Log = &log
		}
		s.Authority = "renamed since"
		all = append(all, s)
	}
	return all
}

// judged is a policy, a signature that satisfies it, and what was reported.
type judged struct {
	policy    verify.Policy
	signature verify.Signature
	evidence  []verify.Signer
}

func judgedBy(t testing.TB, a verify.Authority, s verify.Signature) judged {
	t.Helper()
	p := threshold(1, a)
	return judged{p, s, reported(wantVerified(t, p, artifact, s).Signers())}
}

func verdictOn(t testing.TB, sign func(testing.TB, sigstore.Format) (verify.Authority, verify.Signature), format sigstore.Format) judged {
	t.Helper()
	a, s := sign(t, format)
	return judgedBy(t, a, s)
}

// What the policy became since, by who was verified under what it was. Where the
// signature can still be judged, the answer is no more than that of the verdict.
func TestAllowsSigners(t *testing.T) {
	bareKey := judgedBy(t, authority(t, "key", p256(t, "signer")), cosignSigned(t, artifact, p256(t, "signer")))
	w := timed{log: 0, stamp: 0}
	key := verdictOn(t, w.byKey, sigstore.FormatCosign)
	identity := verdictOn(t, w.byIdentity, sigstore.FormatBundle)
	onlyLog := verdictOn(t, timed{log: 0, stamp: never}.byIdentity, sigstore.FormatCosign)
	onlyStamp := verdictOn(t, timed{log: never, stamp: 0, mode: verify.LogIgnore}.byIdentity, sigstore.FormatCosign)
	timeless := verdictOn(t, timed{log: never, stamp: never, kind: sigstore.Rekor2}.byKey, sigstore.FormatBundle)
	spread := verdictOn(t, timed{log: 5, stamp: 0}.byIdentity, sigstore.FormatBundle)

	stamped := verdictOn(t, timed{log: never, stamp: 0, kind: sigstore.Rekor2}.byKey, sigstore.FormatBundle)

	theirRoot := trustedRoot(t, theirs(t).Roots())
	retired, soon, stampless := ours(t).Roots(), ours(t).Roots(), ours(t).Roots()
	stampless.TSA = nil
	retired.Valid.Rekor1.End = hours(-2)
	soon.Valid.Rekor2.End = hours(1)
	root := func(r *verify.TrustedRoot) func(*verify.Authority) {
		return func(a *verify.Authority) { a.Root = r }
	}
	window := func(from, until moment) func(*verify.Authority) {
		return func(a *verify.Authority) { a.NotBefore, a.NotAfter = from.time(), until.time() }
	}
	who := func(specs ...verify.IdentitySpec) func(*verify.Authority) {
		return func(a *verify.Authority) {
			a.Identities = nil
			for _, s := range specs {
				a.Identities = append(a.Identities, identityOf(t, s))
			}
		}
	}
	mode := func(m verify.LogMode) func(*verify.Authority) {
		return func(a *verify.Authority) { a.TransparencyLog = m }
	}
	both := func(all ...func(*verify.Authority)) func(*verify.Authority) {
		return func(a *verify.Authority) {
			for _, change := range all {
				change(a)
			}
		}
	}
	same := func(*verify.Authority) {}
	tests := map[string]struct {
		judged
		change func(*verify.Authority)
		want   bool
	}{
		"key":                              {bareKey, same, true},
		"key beside others":                {bareKey, func(a *verify.Authority) { a.Keys = trusted(t, p256(t, "other"), p256(t, "signer")) }, true},
		"another key":                      {bareKey, func(a *verify.Authority) { a.Keys = trusted(t, p256(t, "other")) }, false},
		"key, log required since":          {bareKey, both(mode(verify.LogRequire), root(trustedRoot(t, ours(t).Roots()))), false},
		"key and identities":               {bareKey, both(func(a *verify.Authority) { a.Keys, a.Root = nil, theirRoot }, mode(verify.LogRequire), who(verify.IdentitySpec{IssuerRegExp: ".*", SubjectRegExp: ".*"})), false},
		"logged key":                       {key, same, true},
		"logged key, log ignored since":    {key, mode(verify.LogIgnore), true},
		"logged key, another log":          {key, root(theirRoot), false},
		"logged key, log retired before":   {key, root(trustedRoot(t, retired)), false},
		"logged key, window":               {key, window(0, 0), true},
		"logged key, after the window":     {key, window(never, -1), false},
		"logged key, before the window":    {key, window(1, never), false},
		"timeless key":                     {timeless, same, true},
		"timeless key, window":             {timeless, window(-1000, never), false},
		"timeless key, log to be retired":  {timeless, root(trustedRoot(t, soon)), false},
		"identity":                         {identity, same, true},
		"identity, log ignored since":      {identity, mode(verify.LogIgnore), true},
		"identity, another log":            {identity, root(theirRoot), false},
		"identity, log retired before":     {identity, root(trustedRoot(t, retired)), false},
		"identity, window":                 {identity, window(0, 0), true},
		"identity, after the window":       {identity, window(never, -1), false},
		"identity, before the window":      {identity, window(1, never), false},
		"identity, another subject":        {identity, who(verify.IdentitySpec{Issuer: release.Issuer, Subject: release.Subject + "x"}), false},
		"identity, another issuer":         {identity, who(verify.IdentitySpec{Issuer: release.Issuer + "x", Subject: release.Subject}), false},
		"identity, expressions":            {identity, who(verify.IdentitySpec{IssuerRegExp: "https://.*", SubjectRegExp: "https://github.com/example-org/.*"}), true},
		"identity, expression of a part":   {identity, who(verify.IdentitySpec{IssuerRegExp: "https://.*", SubjectRegExp: "https://github.com/example-org/"}), false},
		"identity, an extension":           {identity, who(withExtensions(exactly(release), "buildTrigger", "push")), true},
		"identity, another extension":      {identity, who(withExtensions(exactly(release), "buildTrigger", "pull")), false},
		"identity, an extension it lacks":  {identity, who(withExtensions(exactly(release), "deploymentEnvironment", "x")), false},
		"identity, second of two":          {identity, who(verify.IdentitySpec{Issuer: "x", Subject: "y"}, exactly(release)), true},
		"logged identity, log ignored":     {onlyLog, mode(verify.LogIgnore), false},
		"logged identity, window":          {onlyLog, window(0, 0), true},
		"stamped identity":                 {onlyStamp, same, true},
		"stamped identity, log required":   {onlyStamp, mode(verify.LogRequire), false},
		"stamped identity, window":         {onlyStamp, window(0, 0), true},
		"stamped identity, outside":        {onlyStamp, window(1, never), false},
		"stamped key, window":              {stamped, window(0, 0), true},
		"stamped key, no authority since":  {stamped, both(window(0, 0), root(trustedRoot(t, stampless))), false},
		"two times, no authority since":    {spread, both(window(5, 5), root(trustedRoot(t, stampless))), true},
		"two times, both within":           {spread, window(0, 5), true},
		"two times, log later":             {spread, window(0, 4), false},
		"two times, timestamp earlier":     {spread, window(1, 5), false},
		"two times, log ignored":           {spread, both(mode(verify.LogIgnore), window(0, 4)), true},
		"two times, log ignored, too late": {spread, both(mode(verify.LogIgnore), window(never, -1)), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := threshold(1, tt.policy.Authorities[0])
			tt.change(&p.Authorities[0])
			if err := p.Validate(); err != nil {
				t.Fatalf("the test itself is wrong: %v", err)
			}
			if got := p.AllowsSigners(artifact, tt.evidence); got != tt.want {
				t.Errorf("expected %t, found %t", tt.want, got)
			}
			if _, err := verify.Verify(p, artifact, []verify.Signature{tt.signature}); (err == nil) != tt.want {
				t.Errorf("expected the verdict %t, found %v", tt.want, err)
			}
		})
	}
}

// What is no evidence, or no policy, allows nobody.
func TestAllowsNobody(t *testing.T) {
	policy := trusting(t, p256(t, "signer"))
	right := wantVerified(t, policy, artifact, cosignSigned(t, artifact, p256(t, "signer"))).Signers()
	byIdentity := verdictOn(t, timed{log: 0, stamp: 0}.byIdentity, sigstore.FormatBundle)
	edited := func(from verify.Signer, change func(*verify.Signer)) []verify.Signer {
		change(&from)
		return []verify.Signer{from}
	}
	invalid, deniedToo := policy, policy
	invalid.Threshold = 0
	deniedToo.DenyDigests = []string{another, artifact}
	none := policy
	none.Authorities = []verify.Authority{{Name: "none", TransparencyLog: verify.LogIgnore}}
	log := *byIdentity.evidence[0].Log
	log.LogID = ""
	for name, tt := range map[string]struct {
		policy  verify.Policy
		digest  string
		signers []verify.Signer
	}{
		"zero policy":               {verify.Policy{}, artifact, right},
		"invalid policy":            {invalid, artifact, right},
		"authority of nobody":       {none, artifact, right},
		"denied digest":             {deniedToo, artifact, right},
		"no digest":                 {policy, "", right},
		"digest in upper case":      {policy, "sha256:" + strings.ToUpper(artifact[7:]), right},
		"no signers":                {policy, artifact, nil},
		"zero signer":               {policy, artifact, []verify.Signer{{}}},
		"zero signer, of identity":  {byIdentity.policy, artifact, []verify.Signer{{}}},
		"too many":                  {policy, artifact, slices.Repeat(right, verify.MaxSignatures+1)},
		"no format":                 {policy, artifact, edited(right[0], func(s *verify.Signer) { s.Format = "" })},
		"another format":            {policy, artifact, edited(right[0], func(s *verify.Signer) { s.Format = "gpg" })},
		"no fingerprint":            {policy, artifact, edited(right[0], func(s *verify.Signer) { s.KeyFingerprint = "" })},
		"fingerprint in upper case": {policy, artifact, edited(right[0], func(s *verify.Signer) { s.KeyFingerprint = strings.ToUpper(s.KeyFingerprint) })},
		"key and issuer":            {policy, artifact, edited(right[0], func(s *verify.Signer) { s.Issuer = release.Issuer })},
		"key and subject":           {policy, artifact, edited(right[0], func(s *verify.Signer) { s.Subject = release.Subject })},
		"key and extensions":        {policy, artifact, edited(right[0], func(s *verify.Signer) { s.Extensions = []verify.Extension{{}} })},
		"identity and key":          {byIdentity.policy, artifact, edited(byIdentity.evidence[0], func(s *verify.Signer) { s.KeyFingerprint = right[0].KeyFingerprint })},
		"identity without issuer":   {byIdentity.policy, artifact, edited(byIdentity.evidence[0], func(s *verify.Signer) { s.Issuer = "" })},
		"identity without subject":  {byIdentity.policy, artifact, edited(byIdentity.evidence[0], func(s *verify.Signer) { s.Subject = "" })},
		"identity without log":      {byIdentity.policy, artifact, edited(byIdentity.evidence[0], func(s *verify.Signer) { s.Log = nil })},
		"identity, log of no name":  {byIdentity.policy, artifact, edited(byIdentity.evidence[0], func(s *verify.Signer) { s.Log = &log })},
		"identity without a time": {byIdentity.policy, artifact, edited(byIdentity.evidence[0], func(s *verify.Signer) {
			timeless := *s.Log
			timeless.IntegratedTime, s.SignedTimestamp, s.Log = time.Time{}, time.Time{}, &timeless
		})},
	} {
		if tt.policy.AllowsSigners(tt.digest, tt.signers) {
			t.Errorf("%s is allowed", name)
		}
	}
	if !policy.AllowsSigners(another, right) { // The digest itself is the caller's.
		t.Error("what it is changed from is not allowed")
	}
	if !policy.AllowsSigners(artifact, slices.Repeat(right, verify.MaxSignatures)) || !byIdentity.policy.AllowsSigners(artifact, byIdentity.evidence) {
		t.Error("what it is changed from is not allowed")
	}
}

// Distinct signers are matched with distinct authorities as in the verdict:
// whatever the policy, and whoever was verified.
func TestAllowsSignersAgainstTheVerdict(t *testing.T) {
	names := []string{"alice", "bob", "carol", "dave"}
	random := rand.New(rand.NewPCG(7, 8))
	answers := map[bool]int{}
	for range 200 {
		var policy verify.Policy
		for i := range 1 + random.IntN(4) {
			policy.Authorities = append(policy.Authorities, named(t, fmt.Sprint(i), append(someOf(random, names), names[random.IntN(4)])...))
		}
		policy.Threshold = 1 + random.IntN(len(policy.Authorities))
		signed := someOf(random, names)
		signed = append(signed, signed...) // Twice by each is once.
		var evidence []verify.Signer
		for _, name := range signed {
			evidence = append(evidence, verify.Signer{Format: verify.FormatCosign, KeyFingerprint: fingerprint(t, p256(t, name))})
		}
		_, err := verify.Verify(policy, artifact, signedBy(t, signed...))
		got := policy.AllowsSigners(artifact, evidence)
		if answers[got]++; got != (err == nil) {
			t.Fatalf("threshold %d of %d, signed by %v: allowed %t, and the verdict is %v", policy.Threshold, len(policy.Authorities), signed, got, err)
		}
	}
	if answers[true] < 20 || answers[false] < 20 {
		t.Errorf("too few of a kind to say anything: %v", answers)
	}
}
