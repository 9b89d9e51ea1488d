package story

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers"
)

// shard sets or, with "", removes the label "shard".
func (w *world) shard(name, value string) {
	w.t.Helper()
	obj := w.get(name)
	before := obj.DeepCopy()
	obj.Labels = map[string]string{}
	if value != "" {
		obj.Labels["shard"] = value
	}
	if err := kube.Patch(background, obj, client.MergeFrom(before)); err != nil {
		w.t.Fatal(err)
	}
}

// untouched demands that no controller looked at an object.
func untouched(t *testing.T, obj *v1alpha1.ModuleSource) {
	t.Helper()
	if obj.Status.ObservedGeneration != -1 || len(obj.Status.Conditions) != 0 {
		t.Errorf("expected an object that nobody looked at, found\n%s", describe(obj))
	}
}

// A controller for a shard looks at nothing else, takes what comes to it, and
// lets go of what leaves it.
func TestStoryWatchLabelSelector(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{options: func(o *controllers.Options) { o.WatchLabelSelector = "shard in (a, b)" }})
	digest := w.release("app", "1.0.0", "bundle")
	w.apply("none", w.spec("app", nil))
	w.apply("other", w.spec("app", nil))
	w.shard("other", "c")
	w.apply("app", w.spec("app", nil))
	w.shard("app", "a")
	w.expect(w.ready("app"), w.released("1.0.0", digest))
	untouched(t, w.get("none"))
	untouched(t, w.get("other"))

	w.shard("none", "b")
	w.expect(w.ready("none"), w.released("1.0.0", digest))
	untouched(t, w.get("other"))

	url := w.get("app").Status.Artifact.URL
	w.shard("app", "")
	w.awaitFiles("the files of what left are gone", func(files []string) bool { return len(files) == 2 })
	w.gone(url)
	w.shard("app", "a")
	w.awaitFiles("the files of what is back are there", func(files []string) bool { return len(files) == 4 })
	w.expect(w.again("app"), w.released("1.0.0", digest))
	w.tells("app", "Normal SignatureVerified")
}

// Only the namespaces that are named are watched.
func TestStoryWatchNamespaces(t *testing.T) {
	t.Parallel()
	var second, third string
	w := newWorld(t, settings{options: func(o *controllers.Options) {
		second, third = o.WatchNamespaces[0]+"-second", o.WatchNamespaces[0]+"-third"
		for _, name := range []string{second, third} {
			if err := kube.Create(background, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
				t.Error(err)
			}
		}
		o.WatchNamespaces = append(o.WatchNamespaces, second)
	}})
	digest := w.release("app", "1.0.0", "bundle")
	in := func(namespace string) *v1alpha1.ModuleSource {
		return &v1alpha1.ModuleSource{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "app"}, Spec: w.spec("app", nil)}
	}
	w.create(in(third))
	w.create(in(second))
	w.create(in(w.namespace))
	w.expect(w.ready("app"), w.released("1.0.0", digest))
	found := &v1alpha1.ModuleSource{}
	for deadline := time.Now().Add(patience); is(found, "Ready") != "True/SignatureVerified"; time.Sleep(20 * time.Millisecond) {
		if err := kube.Get(background, client.ObjectKeyFromObject(in(second)), found); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for the second namespace, found\n%s", patience, describe(found))
		}
	}
	w.expect(found, w.released("1.0.0", digest))
	if err := kube.Get(background, client.ObjectKeyFromObject(in(third)), found); err != nil {
		t.Fatal(err)
	}
	untouched(t, found)
}

// What a newer artifact replaced can be downloaded for as long as the controller
// is told to, and goes then, also when it was another process that published it.
func TestStoryArtifactRetention(t *testing.T) {
	t.Parallel()
	for name, retention := range map[string]time.Duration{"an hour": time.Hour, "none": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := durable(t, settings{options: func(o *controllers.Options) { o.ArtifactRetention = retention }})
			w.release("app", "1.0.0", "bundle")
			w.apply("app", w.spec("app", nil))
			first := w.ready("app")
			second := w.release("app", "1.1.0", "bundle")
			w.expect(w.poll("app"), w.released("1.1.0", second))
			w.heard("app", 2)
			w.stopController()
			w.start()
			w.expect(w.again("app"), w.released("1.1.0", second))
			if retention > 0 {
				w.fetch(first)
				return
			}
			w.awaitFiles("only the newer one's files are there", func(files []string) bool { return len(files) == 2 })
			w.gone(first.Status.Artifact.URL)
			w.expect(w.again("app"), w.released("1.1.0", second))
		})
	}
}
