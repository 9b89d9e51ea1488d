package deploy

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestWithoutWatchingReferences: the rights are those of config/default but for
// list and watch of Secrets and ConfigMaps, and the controller is told.
func TestWithoutWatchingReferences(t *testing.T) {
	narrow, err := kustomize("config/without-watching-references")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(withoutWatching(t), rulesOf(t, named(t, narrow, "ClusterRole", name))); diff != "" {
		t.Errorf("rules (-expected +found):\n%s", diff)
	}
	if diff := cmp.Diff(append(argsOf(t, installed), "--watch-references=false"), argsOf(t, narrow)); diff != "" {
		t.Errorf("arguments (-expected +found):\n%s", diff)
	}
}

// withoutWatching are the rules of config/default for every namespace, but for
// list and watch of Secrets and ConfigMaps.
func withoutWatching(t *testing.T) []rbacv1.PolicyRule {
	t.Helper()
	rules, changed := rulesOf(t, named(t, installed, "ClusterRole", name)), 0
	for i := range rules {
		if !slices.Contains(rules[i].Resources, "secrets") {
			continue
		}
		want := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps", "secrets"}, Verbs: []string{"get", "list", "watch"}}
		if diff := cmp.Diff(want, rules[i]); diff != "" {
			t.Errorf("config/default (-expected +found):\n%s", diff)
		}
		rules[i].Verbs = []string{"get"}
		changed++
	}
	if changed != 1 {
		t.Fatalf("expected one rule about Secrets, found %d", changed)
	}
	return rules
}

const watchedRole = name + "-watched"

// TestNamespaced: each namespace of --watch-namespaces has the rules of the
// ClusterRole as a Role for the controller, no other has, and the ClusterRole is
// gone. The other component goes with it.
func TestNamespaced(t *testing.T) {
	both := overlay(t, "resources: [%s]\ncomponents: [%s]\n", "config/namespaced", "config/components/without-watching-references")
	for _, tc := range []struct {
		folder string
		rules  []rbacv1.PolicyRule
		args   []string
	}{
		{"config/namespaced", rulesOf(t, named(t, installed, "ClusterRole", name)), nil},
		{both, withoutWatching(t), []string{"--watch-references=false"}},
	} {
		m, err := kustomize(tc.folder)
		if err != nil {
			t.Fatal(err)
		}
		watched := wantWatched(t, m, tc.rules, namespace)
		slices.Sort(watched)
		want := slices.Concat(argsOf(t, installed), []string{"--watch-namespaces=" + strings.Join(watched, ",")}, tc.args)
		if diff := cmp.Diff(want, argsOf(t, m)); diff != "" || len(watched) != 2 {
			t.Errorf("%s: expected arguments for two namespaces, found %v (-expected +found):\n%s", tc.folder, watched, diff)
		}
		// Nothing else differs.
		if diff := cmp.Diff(namesOf(installed, name), namesOf(m, name, watchedRole)); diff != "" {
			t.Errorf("%s: objects (-expected +found):\n%s", tc.folder, diff)
		}
		for _, obj := range m {
			if strings.HasPrefix(obj.GetKind(), "ClusterRole") && !strings.HasPrefix(obj.GetName(), "assay-modulesource-") {
				t.Errorf("%s: expected no rights in all namespaces, found the %s %s", tc.folder, obj.GetKind(), obj.GetName())
			}
		}
	}
}

// wantWatched expects Roles with these rules, each bound to the controller's
// ServiceAccount in its namespace, and returns the Roles' namespaces.
func wantWatched(t *testing.T, m manifests, rules []rbacv1.PolicyRule, controllerIn string) []string {
	t.Helper()
	bound, roles := map[string]rbacv1.RoleBinding{}, []string(nil)
	for _, obj := range m {
		if obj.GetKind() == "RoleBinding" && obj.GetName() == watchedRole {
			bound[obj.GetNamespace()] = as[rbacv1.RoleBinding](t, obj)
		}
	}
	for _, obj := range m {
		if obj.GetKind() != "Role" || obj.GetName() != watchedRole {
			continue
		}
		in := obj.GetNamespace()
		roles = append(roles, in)
		if diff := cmp.Diff(rules, rulesOf(t, obj)); diff != "" {
			t.Errorf("the Role in %s (-expected +found):\n%s", in, diff)
		}
		binding := bound[in]
		delete(bound, in)
		want := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: watchedRole}
		if diff := cmp.Diff(want, binding.RoleRef); diff != "" {
			t.Errorf("the RoleBinding in %s (-expected +found):\n%s", in, diff)
		}
		subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: name, Namespace: controllerIn}}
		if diff := cmp.Diff(subjects, binding.Subjects); diff != "" {
			t.Errorf("the RoleBinding in %s (-expected +found):\n%s", in, diff)
		}
	}
	if len(bound) > 0 {
		t.Errorf("expected a Role for each RoleBinding, found %v", bound)
	}
	return roles
}

// Moving the controller and watching few namespaces go together.
func TestNamespacedElsewhere(t *testing.T) {
	moved := overlay(t, "namespace: elsewhere\nresources: [%s]\n", "config/default")
	team := overlay(t, "namespace: team\nresources: [%s]\n", "config/components/namespaced/watched")
	m, err := kustomize(overlay(t, "resources: [%s, %s]\ncomponents: [%s]\n", moved, team, "config/components/namespaced"))
	if err != nil {
		t.Fatal(err)
	}
	wantNoWordOf(t, m, namespace)
	rules := rulesOf(t, named(t, installed, "ClusterRole", name))
	if watched := wantWatched(t, m, rules, "elsewhere"); !slices.Equal(watched, []string{"team"}) {
		t.Errorf("expected the Role in team, found it in %v", watched)
	}
}

// namesOf are the kinds and names of objects, but for the rights of those names.
func namesOf(m manifests, rightsOf ...string) []string {
	var found []string
	for _, obj := range m {
		rights := strings.HasPrefix(obj.GetKind(), "ClusterRole") || strings.HasPrefix(obj.GetKind(), "Role")
		if !rights || !slices.Contains(rightsOf, obj.GetName()) || obj.GetNamespace() == namespace {
			found = append(found, obj.GetKind()+" "+obj.GetName())
		}
	}
	return found
}

// Each folder that a document names and kubectl can apply is taken by the API
// server as it is.
func TestDocumentedFoldersApply(t *testing.T) {
	for _, team := range []string{"team-a", "team-b"} {
		if err := client.IgnoreAlreadyExists(kube.Create(background, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: team}})); err != nil {
			t.Fatal(err)
		}
	}
	mentioned := map[string]string{}
	for path, text := range documents(t) {
		for _, m := range regexp.MustCompile(`\bconfig/[a-z/-]+[a-z]`).FindAllString(text, -1) {
			if isOverlay(t, m) {
				mentioned[m] = path
			}
		}
	}
	for _, folder := range []string{"config/default", "config/namespaced", "config/without-watching-references"} {
		if mentioned[folder] == "" {
			t.Errorf("expected a document to name %s", folder)
		}
	}
	for folder, path := range mentioned {
		if _, err := kubectl("apply", "--server-side", "--dry-run=server", "--force-conflicts", "-k", folder); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// isOverlay reports whether a folder is one by itself, and no component of others.
func isOverlay(t *testing.T, folder string) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, folder, "kustomization.yaml"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Contains(string(text), "\nkind: Kustomization\n")
}

// documents are the README and what is in docs/.
func documents(t *testing.T) map[string]string {
	t.Helper()
	files := []string{filepath.Join(root, "README.md")}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".md" {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found[file] = string(text)
	}
	return found
}

func rulesOf(t *testing.T, obj *unstructured.Unstructured) []rbacv1.PolicyRule {
	t.Helper()
	return as[rbacv1.ClusterRole](t, obj).Rules
}

func argsOf(t *testing.T, m manifests) []string {
	t.Helper()
	containers, _, err := unstructured.NestedSlice(named(t, m, "Deployment", name).Object, "spec", "template", "spec", "containers")
	if err != nil {
		t.Fatal(err)
	}
	args, _, err := unstructured.NestedStringSlice(containers[0].(map[string]any), "args")
	if err != nil {
		t.Fatal(err)
	}
	return args
}

func named(t *testing.T, m manifests, kind, called string) *unstructured.Unstructured {
	t.Helper()
	i := slices.IndexFunc(m, func(obj *unstructured.Unstructured) bool { return obj.GetKind() == kind && obj.GetName() == called })
	if i < 0 {
		t.Fatalf("expected a %s %s, found none", kind, called)
	}
	return m[i].DeepCopy()
}
