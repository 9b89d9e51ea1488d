package source

import (
	"context"
	"fmt"
	"time"

	"github.com/assay-dev/assay/internal/artifact"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/verify"
)

// Syncer takes the way from a repository to a published artifact.
type Syncer struct {
	Pool  *registry.Pool
	Store *artifact.Store
	// Slots bound how much is judged and published at the same time. Optional.
	Slots *Slots
	// MaxLayerBytes bounds the compressed layers of an artifact together.
	MaxLayerBytes int64
	// Begin is told of each step before it begins. The step is done in the context
	// that it returns, and what it returns besides is told of the step's end: how
	// long it took, and the reason if it failed, a refusal among them; "" if not.
	// Optional.
	Begin func(ctx context.Context, step Step) (context.Context, func(took time.Duration, reason string))
	// Progress is told how far Pull is with the layers: see registry.Client.
	// Optional.
	Progress func(done, total int64)
	// Now is the clock.
	Now func() time.Time
}

// Request is what is wanted, as plain data.
type Request struct {
	Owner       artifact.Owner
	Repository  registry.Repository
	Selector    registry.Selector
	Credentials registry.Credentials
	Policy      verify.Policy
	// Releases is what the revision is held against.
	Releases Releases
	// Current is the revision that is published, served, and verified under
	// Policy; the zero value for none. Nothing is done again for it.
	Current registry.Revision
}

// Outcome is how far a Sync got, with or without an error.
type Outcome struct {
	// Revision is what the selection resolved to; the zero value where that
	// failed.
	Revision registry.Revision
	// Unchanged says that Revision is Current.
	Unchanged bool
	// Verified is the proof of the verdict yes; the zero value for no, not
	// judged, and unchanged.
	Verified verify.Verified
	// Published is the artifact; the zero value unless everything succeeded.
	Published artifact.Published
	// Annotations are those of the signed manifest that are passed on.
	Annotations map[string]string
}

// Sync polls once: it resolves the selection and, where that is another
// revision than the current one, takes it all the way. The error is of type
// *Error.
func (s *Syncer) Sync(ctx context.Context, r Request) (Outcome, error) {
	client := s.Pool.Client(r.Repository, r.Credentials)
	defer client.Close()
	revision, err := s.selected(ctx, client, r)
	if err != nil {
		return Outcome{Revision: revision}, err
	}
	if err := r.Releases.check(revision); err != nil {
		return Outcome{Revision: revision}, err
	}
	if revision == r.Current {
		return Outcome{Revision: revision, Unchanged: true}, nil
	}
	return s.acquire(ctx, client, r, revision)
}

// Rebuild takes a revision that was published before all the way again,
// without resolving anything but that its digest is there: of what a repository
// does not have any more, nobody can say that it is not signed.
func (s *Syncer) Rebuild(ctx context.Context, r Request, revision registry.Revision) (Outcome, error) {
	client := s.Pool.Client(r.Repository, r.Credentials)
	defer client.Close()
	pin, err := registry.NewSelector("", "", revision.Digest, "")
	if err == nil {
		r.Selector = pin
		_, err = s.resolve(ctx, client, r)
	}
	if err != nil {
		return Outcome{}, fail(StepResolve, err)
	}
	return s.acquire(ctx, client, r, revision)
}

// Judge judges a digest by signatures that were kept, asking nobody. It waits
// for a slot for as long as it takes, and nothing stops it, the end of ctx
// neither: trust that was withdrawn takes effect.
func (s *Syncer) Judge(ctx context.Context, policy verify.Policy, digest string, kept []verify.Signature) (verify.Verified, error) {
	return s.judge(ctx, nil, policy, digest, kept)
}

// judge judges until done is closed: what is not published yet can wait. A nil
// channel never is.
func (s *Syncer) judge(ctx context.Context, done <-chan struct{}, policy verify.Policy, digest string, signatures []verify.Signature) (_ verify.Verified, err error) {
	giveBack, ok := s.Slots.take(done)
	if !ok {
		return verify.Verified{}, busy(StepVerify)
	}
	defer giveBack()
	_, end := s.begin(ctx, StepVerify)
	defer func() { end(err) }()
	v, err := verify.Until(func() bool { return isClosed(done) }, policy, digest, signatures)
	if err != nil {
		return verify.Verified{}, fail(StepVerify, err)
	}
	return v, nil
}

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// selected resolves the selection, and holds it to the pin.
func (s *Syncer) selected(ctx context.Context, client *registry.Client, r Request) (registry.Revision, error) {
	revision, err := s.resolve(ctx, client, r)
	if err != nil {
		return registry.Revision{}, fail(StepResolve, err)
	}
	if pin := r.Selector.Pin(); pin != "" && revision.Digest != pin {
		return revision, &Error{Step: StepResolve, Kind: Refused, Reason: ReasonDigestMismatch,
			Message: fmt.Sprintf("%s: expected the pinned digest %s, found %s", revision.Version, pin, revision.Digest)}
	}
	return revision, nil
}

func (s *Syncer) resolve(ctx context.Context, client *registry.Client, r Request) (_ registry.Revision, err error) {
	ctx, end := s.begin(ctx, StepResolve)
	defer func() { end(err) }()
	// Content under a digest does not change: once it is published there is
	// nothing to ask.
	if pinned, ok := r.Selector.Pinned(); ok && pinned == r.Current {
		return pinned, nil
	}
	return client.Resolve(ctx, r.Selector)
}

// acquire goes from a revision to its published artifact. Everything is asked
// by digest from here on.
func (s *Syncer) acquire(ctx context.Context, client *registry.Client, r Request, revision registry.Revision) (Outcome, error) {
	o, signatures, err := s.prove(ctx, client, r, revision)
	if err != nil {
		return o, err
	}
	dir, cleanup, err := s.Store.TempDir()
	if err != nil {
		return o, fail(StepFetch, err)
	}
	defer cleanup()
	content, err := s.fetch(ctx, client, o.Verified, revision, dir)
	if err != nil {
		return o, fail(StepFetch, err)
	}
	giveBack, ok := s.Slots.take(ctx.Done())
	if !ok {
		return o, busy(StepPublish)
	}
	defer giveBack()
	if o.Published, err = s.publish(ctx, o.Verified, r.Owner, content, signatures); err != nil {
		return o, fail(StepPublish, err)
	}
	o.Annotations = content.Annotations
	return o, nil
}

// prove collects the signatures of a revision and judges it by them.
func (s *Syncer) prove(ctx context.Context, client *registry.Client, r Request, revision registry.Revision) (Outcome, []verify.Signature, error) {
	o := Outcome{Revision: revision}
	signatures, err := s.signatures(ctx, client, revision)
	if err == nil && ctx.Err() != nil { // Not too many, but too late.
		err = fmt.Errorf("%s: its signatures came when spec.timeout had ended: %w", revision.Digest, ctx.Err())
	}
	if err != nil {
		return o, nil, fail(StepSignatures, err)
	}
	o.Verified, err = s.judge(ctx, ctx.Done(), r.Policy, revision.Digest, signatures)
	return o, signatures, err
}

func (s *Syncer) signatures(ctx context.Context, client *registry.Client, revision registry.Revision) (_ []verify.Signature, err error) {
	ctx, end := s.begin(ctx, StepSignatures)
	defer func() { end(err) }()
	return client.Signatures(ctx, revision.Digest)
}

func (s *Syncer) fetch(ctx context.Context, client *registry.Client, v verify.Verified, revision registry.Revision, dir string) (_ registry.Content, err error) {
	ctx, end := s.begin(ctx, StepFetch)
	defer func() { end(err) }()
	return client.Fetch(ctx, v, revision, dir, s.MaxLayerBytes)
}

func (s *Syncer) publish(ctx context.Context, v verify.Verified, owner artifact.Owner, content registry.Content, signatures []verify.Signature) (_ artifact.Published, err error) {
	_, end := s.begin(ctx, StepPublish)
	defer func() { end(err) }()
	layers := make([]artifact.Layer, 0, len(content.Layers))
	for _, path := range content.Layers {
		layers = append(layers, artifact.Layer{Path: path})
	}
	return s.Store.Publish(v, owner, layers, signatures)
}

// begin begins a step; the caller ends it.
func (s *Syncer) begin(ctx context.Context, step Step) (context.Context, func(error)) {
	if s.Begin == nil {
		return ctx, func(error) {}
	}
	start := s.Now()
	ctx, told := s.Begin(ctx, step)
	return ctx, func(err error) {
		took, reason := s.Now().Sub(start), ""
		if err != nil {
			reason = fail(step, err).Reason
		}
		told(took, reason)
	}
}
