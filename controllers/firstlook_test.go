package controllers

import (
	"context"
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/artifact"
	"github.com/assay-dev/assay/internal/source"
)

func TestExpects(t *testing.T) {
	published := sourceOf(nil)
	digest := published.Status.Artifact.Digest
	const another = "sha256:another"
	nothing := func(obj *v1alpha1.ModuleSource) { obj.Status.Artifact = nil }
	for name, c := range map[string]struct {
		edit   func(*v1alpha1.ModuleSource)
		look   *outcome
		digest string
		err    error
		absent bool
		want   artifact.Expectation
	}{
		"published, not looked at":          {digest: digest, want: artifact.ExpectPublished},
		"another, not looked at":            {digest: another, want: artifact.ExpectUnsettled},
		"nothing published, not looked at":  {edit: nothing, digest: digest, want: artifact.ExpectUnsettled},
		"deleted":                           {absent: true, digest: digest, want: artifact.ExpectGone},
		"the cache fails":                   {err: errors.New("x"), digest: digest, want: artifact.ExpectUnsettled},
		"looked at and held":                {look: &outcome{inStorage: true}, digest: digest, want: artifact.ExpectSettled},
		"looked at and not held":            {look: &outcome{}, digest: digest, want: artifact.ExpectPublished},
		"looked at and withdrawn":           {look: &outcome{withdrawn: &source.Error{}}, digest: digest, want: artifact.ExpectSettled},
		"looked at and replaced":            {look: &outcome{sync: source.Outcome{Published: artifact.Published{Digest: another}}}, digest: another, want: artifact.ExpectSettled},
		"looked at, with nothing published": {edit: nothing, look: &outcome{}, digest: digest, want: artifact.ExpectSettled},
	} {
		t.Run(name, func(t *testing.T) {
			obj := sourceOf(c.edit)
			b := fake.NewClientBuilder().WithScheme(NewScheme()).WithInterceptorFuncs(interceptor.Funcs{
				Get: func(ctx context.Context, w client.WithWatch, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
					if c.err != nil {
						return c.err
					}
					return w.Get(ctx, key, o, options...)
				},
			})
			if !c.absent {
				b.WithObjects(obj)
			}
			r := &ModuleSourceReconciler{Client: b.Build()}
			if c.look != nil {
				r.firstLooks.took(obj, *c.look)
			}
			if found := r.Expects(ownerOf(obj), c.digest); found != c.want {
				t.Errorf("expected %d, found %d", c.want, found)
			}
			r.firstLooks.forget(types.NamespacedName{Namespace: obj.Namespace, Name: obj.Name})
			if len(r.firstLooks.done) != 0 {
				t.Error("expected what is deleted to be forgotten")
			}
		})
	}
}
