package controllers

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/assay-dev/assay/api/v1alpha1"
)

// naming is a ModuleSource whose authorities are these.
func naming(namespace, name string, authorities ...v1alpha1.Authority) *v1alpha1.ModuleSource {
	return &v1alpha1.ModuleSource{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.ModuleSourceSpec{Verify: v1alpha1.Verify{Authorities: authorities}},
	}
}

func keyIn(secret string) v1alpha1.Authority {
	return v1alpha1.Authority{TransparencyLog: v1alpha1.TransparencyLogIgnore, Key: &v1alpha1.KeyAuthority{SecretRef: &v1alpha1.LocalObjectReference{Name: secret}}}
}

func TestReferences(t *testing.T) {
	keyless := v1alpha1.Authority{Keyless: &v1alpha1.KeylessAuthority{}}
	rooted := v1alpha1.Authority{Keyless: &v1alpha1.KeylessAuthority{}, TrustedRootRef: &v1alpha1.TrustedRootReference{Kind: "ConfigMap", Name: "root"}}
	logged := v1alpha1.Authority{Key: &v1alpha1.KeyAuthority{ConfigMapRef: &v1alpha1.LocalObjectReference{Name: "keys"}}, TransparencyLog: v1alpha1.TransparencyLogRequire}
	login := naming("apps", "app", keyIn("a"))
	login.Spec.SecretRef = &v1alpha1.LocalObjectReference{Name: "login"}
	tests := map[string]struct {
		source *v1alpha1.ModuleSource
		want   []string
	}{
		"nothing":                {naming("apps", "app"), nil},
		"a key in a Secret":      {naming("apps", "app", keyIn("a")), []string{"Secret/a"}},
		"one Secret twice":       {naming("apps", "app", keyIn("a"), keyIn("a")), []string{"Secret/a"}},
		"credentials":            {login, []string{"Secret/a", "Secret/login"}},
		"the controller's root":  {naming("apps", "app", keyless), []string{defaultRootReference}},
		"a root of its own":      {naming("apps", "app", rooted), []string{"ConfigMap/root"}},
		"a key that is logged":   {naming("apps", "app", logged), []string{"ConfigMap/keys", defaultRootReference}},
		"of each kind, together": {naming("apps", "app", keyIn("a"), keyless, rooted, logged), []string{"ConfigMap/keys", "ConfigMap/root", "Secret/a", defaultRootReference}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			found := references(tt.source)
			slices.Sort(found)
			if diff := cmp.Diff(tt.want, found); diff != "" {
				t.Errorf("(-expected +found):\n%s", diff)
			}
		})
	}
}

// What concerns trust comes before what is only polled, even if it waited for
// longer, and nobody else comes with it.
func TestTrustGoesFirst(t *testing.T) {
	concerned := naming("apps", "concerned", keyIn("keys"))
	r := &ModuleSourceReconciler{Client: fake.NewClientBuilder().WithScheme(NewScheme()).
		WithIndex(&v1alpha1.ModuleSource{}, referencesIndex, references).
		WithObjects(concerned, naming("apps", "other", keyIn("others")), naming("elsewhere", "same-name", keyIn("keys"))).Build()}
	queue := priorityqueue.New[ctrl.Request]("test")
	defer queue.ShutDown()
	polled := func(name string) ctrl.Request {
		return ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "apps", Name: name}}
	}
	queue.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(handler.LowPriority)}, polled("routine"))
	queue.AddWithOpts(priorityqueue.AddOpts{}, polled("edited"))
	h := r.concerned("Secret")
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: "keys"}}
	h.Create(t.Context(), event.CreateEvent{Object: secret, IsInInitialList: true}, queue)
	if n := queue.Len(); n != 2 {
		t.Errorf("expected the first list to enqueue nobody, found %d in the queue", n)
	}
	h.Update(t.Context(), event.UpdateEvent{ObjectOld: secret, ObjectNew: secret}, queue)
	var order []string
	for range 3 {
		request, _, _ := queue.GetWithPriority()
		order = append(order, request.Namespace+"/"+request.Name)
		queue.Done(request)
	}
	if diff := cmp.Diff([]string{"apps/concerned", "apps/edited", "apps/routine"}, order); diff != "" || queue.Len() != 0 {
		t.Errorf("%d more in the queue; (-expected +found):\n%s", queue.Len(), diff)
	}
	if !r.waiting.told[client.ObjectKeyFromObject(concerned)] {
		t.Error("expected that one that waits for its registry is looked at all the same")
	}
}

// Of what is watched, only what identifies it is kept.
func TestWithoutDetails(t *testing.T) {
	obj := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: "apps", Name: "keys", ResourceVersion: "7", UID: "u",
		Annotations:   map[string]string{"kubectl.kubernetes.io/last-applied-configuration": `{"data":{"password":"c2VjcmV0"}}`},
		Labels:        map[string]string{"a": "b"},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}, Finalizers: []string{"f"}, OwnerReferences: []metav1.OwnerReference{{Name: "o"}},
	}}
	found, err := withoutDetails(obj)
	if err != nil {
		t.Fatal(err)
	}
	want := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: "keys", ResourceVersion: "7", UID: "u"}}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("(-expected +found):\n%s", diff)
	}
	for _, by := range watchedMetadata() {
		if by.Transform == nil {
			t.Error("expected that what is watched is cached without details")
		}
	}
}
