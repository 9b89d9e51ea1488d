package main

import (
	"context"
	"fmt"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/module"
	"github.com/assay-dev/assay/test/signing"
	"github.com/assay-dev/assay/test/sigstore"
)

const (
	namespace = "demo"
	// interval is short, so that a person sees the registry being polled.
	interval = 5 * time.Second
)

// signer signs a digest reference in a format.
type signer func(ctx context.Context, reference string, key *signing.Key, opts ...remote.Option) error

// row is a ModuleSource and what is to become of it.
type row struct {
	name string
	// look is what a person should look at.
	look string
	spec v1alpha1.ModuleSourceSpec
	// verified and reason are the condition that is expected in the end.
	verified metav1.ConditionStatus
	reason   string
	// revision and artifact are the revisions expected in status.observed and
	// status.artifact; "" for none.
	revision, artifact string
	// then changes something once the ModuleSource is verified for the first
	// time, or once Verified has the reason that after names.
	then  func(context.Context) error
	after string

	found *v1alpha1.ModuleSource
	done  bool
}

// prepare pushes, signs and applies everything.
func prepare(ctx context.Context, env *environment) ([]*row, error) {
	a, err := newAuthor(env)
	if err != nil {
		return nil, err
	}
	say("pushing and signing modules")
	var rows []*row
	for _, scenario := range []func(context.Context, *author) (*row, error){
		signedCosign, signedBundle, notSigned, signedByOther, signatureCopied, highestOfRange, versionMoved, signedLate, keyRemoved, oldUnderHigher,
		byGitHub, byGitLab, byAnotherWorkflow,
	} {
		r, err := scenario(ctx, a)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	say("applying ModuleSources")
	if err := env.kube.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		return nil, err
	}
	for _, secret := range []client.Object{secretOf(secretName, a.key), secretOf(retiringName, a.other)} {
		if err := env.kube.Create(ctx, secret); err != nil {
			return nil, err
		}
	}
	for _, r := range rows {
		if err := env.kube.Create(ctx, &v1alpha1.ModuleSource{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: r.name}, Spec: r.spec}); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func signedCosign(ctx context.Context, a *author) (*row, error) {
	digest, err := a.release(ctx, "signed-cosign", "1.0.0", signing.SignCosign)
	return a.accepted("signed-cosign", "1.0.0", "1.0.0@"+digest, "signed with the right key, in the format of Cosign v2"), err
}

func signedBundle(ctx context.Context, a *author) (*row, error) {
	digest, err := a.release(ctx, "signed-bundle", "1.0.0", signing.SignBundle)
	return a.accepted("signed-bundle", "1.0.0", "1.0.0@"+digest, "signed with the right key, as a Sigstore bundle"), err
}

func notSigned(ctx context.Context, a *author) (*row, error) {
	digest, err := a.push(ctx, "not-signed", "1.0.0", "1.0.0", "")
	return a.refused("not-signed", "1.0.0", "1.0.0@"+digest, v1alpha1.ReasonNoSignature, "not signed: nothing is published"), err
}

func signedByOther(ctx context.Context, a *author) (*row, error) {
	digest, err := a.push(ctx, "other-key", "1.0.0", "1.0.0", "")
	if err != nil {
		return nil, err
	}
	err = signing.SignCosign(ctx, a.at("other-key", digest), a.other)
	return a.refused("other-key", "1.0.0", "1.0.0@"+digest, v1alpha1.ReasonKeyMismatch, "signed, but with a key that is not trusted"), err
}

func signatureCopied(ctx context.Context, a *author) (*row, error) {
	const name = "copied"
	signed, err := a.release(ctx, name, "1.0.0", signing.SignCosign)
	if err != nil {
		return nil, err
	}
	digest, err := a.push(ctx, name, "1.0.1", "1.0.1", "something else")
	if err != nil {
		return nil, err
	}
	err = signing.CopySignature(ctx, a.at(name, signed), a.at(name, digest))
	return a.refused(name, "1.0.1", "1.0.1@"+digest, v1alpha1.ReasonSignatureInvalid, "the signature of 1.0.0 was copied to 1.0.1"), err
}

func highestOfRange(ctx context.Context, a *author) (*row, error) {
	const name = "range"
	var highest string
	for _, version := range []string{"1.0.0", "1.2.0", "2.0.0", "1.3.0-rc.1"} {
		digest, err := a.release(ctx, name, version, signing.SignBundle)
		if err != nil {
			return nil, err
		}
		if version == "1.2.0" {
			highest = digest
		}
	}
	return a.accepted(name, "1.x", "1.2.0@"+highest, "1.x is 1.2.0: not 2.0.0, not 1.3.0-rc.1"), nil
}

func versionMoved(ctx context.Context, a *author) (*row, error) {
	const name = "moved"
	verified, err := a.release(ctx, name, "1.0.0", signing.SignCosign)
	if err != nil {
		return nil, err
	}
	const later = "pushed later"
	moved, err := a.digest("1.0.0", later)
	r := a.refused(name, "1.0.0", "1.0.0@"+moved, v1alpha1.ReasonVersionMutated, "1.0.0 was verified, then replaced by another, signed too: the verified one stays")
	r.artifact = "1.0.0@" + verified
	r.then = func(ctx context.Context) error {
		if _, err := a.push(ctx, name, "1.0.0", "1.0.0", later); err != nil {
			return err
		}
		return signing.SignCosign(ctx, a.at(name, moved), a.key)
	}
	return r, err
}

func oldUnderHigher(ctx context.Context, a *author) (*row, error) {
	const name = "replayed"
	digest, err := a.release(ctx, name, "1.0.0", signing.SignCosign)
	if err != nil {
		return nil, err
	}
	offered, err := a.push(ctx, name, "1.9.0", "1.0.0", "")
	if err == nil && offered != digest {
		err = fmt.Errorf("expected the same module under 1.9.0, found %s", offered)
	}
	return a.refused(name, "1.x", "1.9.0@"+digest, v1alpha1.ReasonVersionMismatch, "the signed 1.0.0, offered again as 1.9.0"), err
}

func signedLate(ctx context.Context, a *author) (*row, error) {
	const name = "signed-late"
	digest, err := a.push(ctx, name, "1.0.0", "1.0.0", "")
	r := a.accepted(name, "1.0.0", "1.0.0@"+digest, "pushed first and signed a moment later, as authors do: awaited, and nobody is paged")
	r.spec.Verify.SignatureGracePeriod = nil // The default.
	r.after = v1alpha1.ReasonAwaitingSignature
	r.then = func(ctx context.Context) error { return signing.SignBundle(ctx, a.at(name, digest), a.key) }
	return r, err
}

func keyRemoved(ctx context.Context, a *author) (*row, error) {
	const name = "key-removed"
	digest, err := a.push(ctx, name, "1.0.0", "1.0.0", "")
	if err == nil {
		err = signing.SignBundle(ctx, a.at(name, digest), a.other)
	}
	r := a.refused(name, "1.0.0", "1.0.0@"+digest, v1alpha1.ReasonKeyMismatch, "published, until its key was removed from the Secret: withdrawn at once")
	r.spec.Interval.Duration = time.Hour // No poll finds it.
	r.spec.Verify.Authorities[0].Key.SecretRef.Name = retiringName
	r.then = func(ctx context.Context) error { return a.kube.Update(ctx, secretOf(retiringName, a.key)) }
	return r, err
}

// The identities of CI systems, as Fulcio certifies them.
var (
	workflow = sigstore.GitHub("example-org/app", "release.yml", "refs/tags/v1.0.0")
	pipeline = sigstore.GitLab("example-group/app", "refs/heads/main")
	fork     = sigstore.GitHub("somebody-else/app", "release.yml", "refs/tags/v1.0.0")
)

func byGitHub(ctx context.Context, a *author) (*row, error) {
	const name = "ci-github"
	digest, err := a.certified(ctx, name, workflow, sigstore.Request{Format: sigstore.FormatBundle, Log: sigstore.Rekor2, Timestamp: true})
	r := a.accepted(name, "1.0.0", "1.0.0@"+digest, "signed by a workflow on GitHub, without a key (bundle, Rekor v2)")
	r.spec.Verify = byIdentity(v1alpha1.Identity{
		Issuer: workflow.Issuer, SubjectRegExp: `https://github\.com/example-org/app/.*`,
		Extensions: []v1alpha1.CertificateExtension{{Name: "githubWorkflowRef", Value: "refs/tags/v1.0.0"}},
	})
	return r, err
}

func byGitLab(ctx context.Context, a *author) (*row, error) {
	const name = "ci-gitlab"
	digest, err := a.certified(ctx, name, pipeline, sigstore.Request{Format: sigstore.FormatCosign, Log: sigstore.Rekor1})
	r := a.accepted(name, "1.0.0", "1.0.0@"+digest, "signed by a pipeline on GitLab, without a key (v2 format, Rekor v1)")
	r.spec.Verify = byIdentity(v1alpha1.Identity{Issuer: pipeline.Issuer, Subject: pipeline.Subject})
	return r, err
}

func byAnotherWorkflow(ctx context.Context, a *author) (*row, error) {
	const name = "ci-fork"
	digest, err := a.certified(ctx, name, fork, sigstore.Request{Format: sigstore.FormatBundle, Log: sigstore.Rekor1})
	r := a.refused(name, "1.0.0", "1.0.0@"+digest, v1alpha1.ReasonIdentityMismatch, "signed by the workflow of a fork: its message says who it was")
	r.spec.Verify = byIdentity(v1alpha1.Identity{Issuer: workflow.Issuer, SubjectRegExp: `https://github\.com/example-org/app/.*`})
	return r, err
}

// byIdentity trusts one identity, by the controller's trusted root.
func byIdentity(identity v1alpha1.Identity) v1alpha1.Verify {
	return v1alpha1.Verify{Authorities: []v1alpha1.Authority{{
		Name: "release-ci", Keyless: &v1alpha1.KeylessAuthority{Identities: []v1alpha1.Identity{identity}},
	}}}
}

// certified pushes a module and signs it with a certificate.
func (a *author) certified(ctx context.Context, name string, who sigstore.Identity, r sigstore.Request) (string, error) {
	digest, err := a.push(ctx, name, "1.0.0", "1.0.0", "")
	if err != nil {
		return "", err
	}
	signer, err := a.sigstore.Issue(who, sigstore.CertificateOptions{})
	if err != nil {
		return "", err
	}
	r.Digest, r.Repository = digest, a.repository(name)
	signed, err := a.sigstore.Sign(signer, r)
	if err != nil {
		return "", err
	}
	return digest, signed.Attach(ctx, a.at(name, digest))
}

// condition is the ModuleSource's condition of that type; the zero value for
// none.
func (r *row) condition(kind string) metav1.Condition {
	if r.found != nil {
		if c := apimeta.FindStatusCondition(r.found.Status.Conditions, kind); c != nil {
			return *c
		}
	}
	return metav1.Condition{}
}

// asExpected reports whether the ModuleSource is what it should be.
func (r *row) asExpected() bool {
	s := r.found.Status
	verified := r.condition(v1alpha1.ConditionVerified)
	return s.ObservedGeneration == r.found.Generation && verified.Status == r.verified && verified.Reason == r.reason &&
		s.Observed != nil && s.Observed.Revision == r.revision && revisionOf(s.Artifact) == r.artifact
}

func revisionOf(a *meta.Artifact) string {
	if a == nil {
		return ""
	}
	return a.Revision
}

// author pushes and signs modules.
type author struct {
	host       string
	key, other *signing.Key
	sigstore   *sigstore.Sigstore
	kube       client.Client
}

func newAuthor(env *environment) (*author, error) {
	key, err := signing.NewKey(signing.ECDSAP256)
	if err != nil {
		return nil, err
	}
	other, err := signing.NewKey(signing.ECDSAP256)
	return &author{host: env.registry.Host(), key: key, other: other, sigstore: env.sigstore, kube: env.kube}, err
}

// secretName holds the key that is trusted, retiringName one that goes.
const secretName, retiringName = "release-key", "retiring-key"

func secretOf(name string, key *signing.Key) client.Object {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Data:       map[string][]byte{"cosign.pub": key.PublicPEM()},
	}
}

func (a *author) repository(name string) string { return a.host + "/modules/" + name }

func (a *author) at(name, digest string) string { return a.repository(name) + "@" + digest }

// options describe a module; readme makes it differ from others of its version.
func (a *author) options(version, readme string) module.Options {
	o := module.Options{Version: version}
	if readme != "" {
		o.Annotations = map[string]string{"org.opencontainers.image.description": readme}
	}
	return o
}

func (a *author) digest(version, readme string) (string, error) {
	image, err := module.New(a.options(version, readme))
	if err != nil {
		return "", err
	}
	digest, err := image.Digest()
	return digest.String(), err
}

func (a *author) push(ctx context.Context, name, tag, version, readme string) (string, error) {
	image, err := module.New(a.options(version, readme))
	if err != nil {
		return "", err
	}
	return module.Push(ctx, a.repository(name)+":"+tag, image)
}

// release pushes a module and signs the digest that it pushed.
func (a *author) release(ctx context.Context, name, version string, sign signer) (string, error) {
	digest, err := a.push(ctx, name, version, version, "")
	if err != nil {
		return "", err
	}
	return digest, sign(ctx, a.at(name, digest), a.key)
}

func (a *author) accepted(name, version, revision, look string) *row {
	return &row{
		name: name, look: look, spec: a.spec(name, version),
		verified: metav1.ConditionTrue, reason: v1alpha1.ReasonSignatureVerified, revision: revision, artifact: revision,
	}
}

func (a *author) refused(name, version, revision, reason, look string) *row {
	return &row{
		name: name, look: look, spec: a.spec(name, version),
		verified: metav1.ConditionFalse, reason: reason, revision: revision,
	}
}

func (a *author) spec(name, version string) v1alpha1.ModuleSourceSpec {
	return v1alpha1.ModuleSourceSpec{
		URL: "oci://" + a.repository(name), Version: version, Insecure: true,
		Interval: metav1.Duration{Duration: interval}, Timeout: metav1.Duration{Duration: v1alpha1.DefaultTimeout},
		Verify: v1alpha1.Verify{
			SignatureGracePeriod: &metav1.Duration{}, // Nothing here is signed later, but for one.
			Authorities: []v1alpha1.Authority{{
				Name:            "release-key",
				Key:             &v1alpha1.KeyAuthority{SecretRef: &v1alpha1.LocalObjectReference{Name: secretName}},
				TransparencyLog: v1alpha1.TransparencyLogIgnore,
			}},
		},
	}
}
