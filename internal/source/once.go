package source

import (
	"context"

	"github.com/assay-dev/assay/internal/registry"
)

// Check takes the way as far as the verdict, and on to what the manifest says
// without its layers. It publishes nothing, and needs no Store. The error is of
// type *Error; one of kind Unpublishable comes with a Verified.
func (s *Syncer) Check(ctx context.Context, r Request) (Outcome, error) {
	client := s.Pool.Client(r.Repository, r.Credentials)
	defer client.Close()
	revision, err := s.selected(ctx, client, r)
	if err != nil {
		return Outcome{Revision: revision}, err
	}
	o, _, err := s.prove(ctx, client, r, revision)
	if err != nil {
		return o, err
	}
	if o.Annotations, err = client.Check(ctx, o.Verified, revision); err != nil {
		return o, fail(StepFetch, err)
	}
	return o, nil
}

// Pull takes the way as far as the layers, which it puts into dir: compressed,
// and the same bytes as their digests say. It publishes nothing, and needs no
// Store. The error is of type *Error.
func (s *Syncer) Pull(ctx context.Context, r Request, dir string) (Outcome, registry.Content, error) {
	client := s.Pool.Client(r.Repository, r.Credentials)
	defer client.Close()
	client.Progress = s.Progress
	revision, err := s.selected(ctx, client, r)
	if err != nil {
		return Outcome{Revision: revision}, registry.Content{}, err
	}
	o, _, err := s.prove(ctx, client, r, revision)
	if err != nil {
		return o, registry.Content{}, err
	}
	content, err := s.fetch(ctx, client, o.Verified, revision, dir)
	if err != nil {
		return o, registry.Content{}, fail(StepFetch, err)
	}
	o.Annotations = content.Annotations
	return o, content, nil
}
