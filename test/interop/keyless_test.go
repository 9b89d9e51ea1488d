package interop

import (
	"slices"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/sigstore"
	"github.com/assay-dev/assay/test/sigstored"
)

// method is a way in which people sign with Cosign.
type method struct {
	release sigstored.Cosign
	flags   func(t *testing.T) []string

	// What it leads to.
	format    verify.Format
	log       sigstore.Log
	timestamp bool
}

// sign signs what was pushed, and returns what is found there.
func (m method) sign(t *testing.T, p pushed, flags ...string) []verify.Signature {
	t.Helper()
	cosign(t, m.release, "sign", m.args(t, p, flags...)...)
	found := p.signatures(t)
	if len(found) != 1 || found[0].Format != m.format {
		t.Fatalf("expected one signature of format %s, found %+v", m.format, found)
	}
	return found
}

// args are the arguments to sign what was pushed.
func (m method) args(t *testing.T, p pushed, flags ...string) []string {
	t.Helper()
	return slices.Concat([]string{"--allow-http-registry"}, m.flags(t), flags, []string{p.reference()})
}

// mode is what a policy can require of the log.
func (m method) mode() verify.LogMode {
	if m.log == sigstore.NoLog {
		return verify.LogIgnore
	}
	return verify.LogRequire
}

// flags are the same in every test.
func flags(all ...string) func(*testing.T) []string {
	return func(*testing.T) []string { return all }
}

// services are for Cosign 3, which takes a signing configuration.
func services(s sigstored.Services) func(*testing.T) []string {
	return func(t *testing.T) []string {
		t.Helper()
		return []string{"--signing-config", config(t, s), "--trusted-root", stack.TrustedRoot}
	}
}

// urls are for Cosign 2, and for Cosign 3 where it is to write the old format.
func urls(more ...string) func(*testing.T) []string {
	return func(*testing.T) []string {
		return append([]string{"--fulcio-url", stack.Fulcio, "--rekor-url", stack.Rekor1}, more...)
	}
}

// stamped is without a log, and so with a timestamp.
func stamped(more ...string) func(*testing.T) []string {
	return func(*testing.T) []string {
		return append([]string{"--fulcio-url", stack.Fulcio, "--tlog-upload=false", "--timestamp-server-url", stack.TSA}, more...)
	}
}

var keyless = map[string]method{
	"cosign2": {
		release: sigstored.Cosign2, flags: urls(), format: verify.FormatCosign, log: sigstore.Rekor1,
	},
	"cosign2 without a log": {
		release: sigstored.Cosign2, flags: stamped(), format: verify.FormatCosign, timestamp: true,
	},
	"cosign2 bundle": {
		release: sigstored.Cosign2, flags: urls("--new-bundle-format"), format: verify.FormatBundle, log: sigstore.Rekor1,
	},
	"cosign3 as cosign2": {
		release: sigstored.Cosign3, flags: urls("--new-bundle-format=false", "--use-signing-config=false"),
		format: verify.FormatCosign, log: sigstore.Rekor1,
	},
	"cosign3 Rekor v1": {
		release: sigstored.Cosign3, flags: services(sigstored.Services{Rekor1: true}),
		format: verify.FormatBundle, log: sigstore.Rekor1,
	},
	"cosign3 Rekor v1 and timestamp": {
		release: sigstored.Cosign3, flags: services(sigstored.Services{Rekor1: true, TSA: true}),
		format: verify.FormatBundle, log: sigstore.Rekor1, timestamp: true,
	},
	"cosign3 Rekor v2": {
		release: sigstored.Cosign3, flags: services(sigstored.Services{Rekor2: true, TSA: true}),
		format: verify.FormatBundle, log: sigstore.Rekor2, timestamp: true,
	},
	"cosign3 without a log": {
		release: sigstored.Cosign3, flags: services(sigstored.Services{TSA: true}),
		format: verify.FormatBundle, timestamp: true,
	},
}

// people are one of each kind.
var people = map[string]func() sigstored.Person{
	"email":  func() sigstored.Person { return stack.Email("dev@example.com") },
	"GitHub": func() sigstored.Person { return stack.GitHub("example-org/app", "release.yml", "refs/tags/v1.0.0") },
	"GitLab": func() sigstored.Person { return stack.GitLab("example-group/sub/app", "refs/heads/main") },
}

// What Cosign signs with an identity is accepted from that identity under that
// root, and from no other.
func TestKeyless(t *testing.T) {
	needs(t)
	for kind := range registries {
		for name, m := range keyless {
			for who, person := range people {
				t.Run(kind+"/"+name+"/"+who, func(t *testing.T) {
					t.Parallel()
					p, signer := push(t, kind), person()
					found := m.sign(t, p, "--identity-token", token(t, signer))
					wantAccepted(t, m, p, found, signer.Identity)
					wantRefused(t, m, p, found, signer.Identity)
				})
			}
		}
	}
}

func wantAccepted(t *testing.T, m method, p pushed, found []verify.Signature, who sigstore.Identity) {
	t.Helper()
	signer := accepted(t, by(t, who, stack.Sigstore.Roots(), m.mode()), p.digest, found)
	wantIdentity(t, signer, who)
	if signer.Format != m.format || (signer.Log == nil) != (m.log == sigstore.NoLog) {
		t.Errorf("unlikely evidence %+v", signer)
	}
	if signer.Log != nil && signer.Log.IntegratedTime.IsZero() != (m.log == sigstore.Rekor2) {
		t.Errorf("unlikely evidence of a log %+v", signer.Log)
	}
	if m.timestamp == signer.SignedTimestamp.IsZero() {
		t.Errorf("unlikely evidence of a timestamp %+v", signer)
	}
}

func wantRefused(t *testing.T, m method, p pushed, found []verify.Signature, who sigstore.Identity) {
	t.Helper()
	ours := stack.Sigstore.Roots()
	other := who
	other.Subject = "x" + who.Subject
	refused(t, by(t, other, ours, m.mode()), p.digest, found, verify.ReasonIdentityMismatch)
	other = who
	other.Issuer = who.Issuer + "/x"
	refused(t, by(t, other, ours, m.mode()), p.digest, found, verify.ReasonIdentityMismatch)

	const otherDigest = "sha256:b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c"
	refused(t, by(t, who, ours, m.mode()), otherDigest, found, verify.ReasonSignatureInvalid)
	if m.log == sigstore.NoLog {
		refused(t, by(t, who, ours, verify.LogRequire), p.digest, found, verify.ReasonTransparencyLogMissing)
	}
	for part, c := range map[string]struct {
		roots func(*sigstore.Roots)
		want  verify.Reason
		skip  bool
	}{
		"authority": {roots: func(r *sigstore.Roots) { r.CA = stranger }, want: verify.ReasonCertificateInvalid},
		"CT log":    {roots: func(r *sigstore.Roots) { r.CTLog = stranger }, want: verify.ReasonCertificateInvalid},
		"log": {
			roots: func(r *sigstore.Roots) { r.Rekor1, r.Rekor2 = stranger, stranger },
			want:  verify.ReasonTransparencyLogInvalid, skip: m.log == sigstore.NoLog,
		},
		"timestamp authority": {
			roots: func(r *sigstore.Roots) { r.TSA = stranger },
			want:  verify.ReasonTimestampInvalid, skip: m.log == sigstore.Rekor1, // It tells the time itself.
		},
	} {
		if c.skip {
			continue
		}
		roots := ours
		c.roots(&roots)
		t.Run("another "+part, func(t *testing.T) {
			refused(t, by(t, who, roots, m.mode()), p.digest, found, c.want)
		})
	}
}
