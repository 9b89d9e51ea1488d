package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers"
)

func newGetCommand(t *terminal) *cobra.Command {
	var (
		flags  *clusterFlags
		output *outputFlag
	)
	c := &cobra.Command{
		Use:   "get [NAME]",
		Short: "Show the ModuleSources of a cluster: revision, signer, and why the bad ones are bad",
		Example: `  assay get --all-namespaces
  kubectl assay get podinfo --namespace apps --watch`,
		Args: atMostOne("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			where, err := flags.where(output, args)
			switch {
			case err != nil:
				return err
			case flags.watch:
				return watchSources(c.Context(), t, where)
			default:
				return getSources(c.Context(), t, where, output)
			}
		},
	}
	flags = addClusterFlags(c.Flags())
	output = addOutputFlag(c.Flags(), "json", "yaml")
	return c
}

// atMostOne is one argument or none.
func atMostOne(name string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usageError(c.UseLine(), "expected at most one %s, found one more argument: %.200q", name, args[1])
		}
		return nil
	}
}

func getSources(ctx context.Context, t *terminal, where *cluster, output *outputFlag) error {
	kube, err := client.New(where.config, client.Options{Scheme: controllers.NewScheme()})
	if err != nil {
		return fmt.Errorf("the API server: %w", err)
	}
	sources, err := where.sources(ctx, kube)
	if err != nil {
		return err
	}
	if where.name != "" && output.format != "" {
		return t.print(output, sources[0], nil)
	}
	list := v1alpha1.ModuleSourceList{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ModuleSourceList"}, Items: sources}
	return t.print(output, list, func() error {
		printSources(t, sources, where.namespace == "")
		return nil
	})
}

// sources are those that are wanted, sorted.
func (c *cluster) sources(ctx context.Context, kube client.Reader) ([]v1alpha1.ModuleSource, error) {
	kind := metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ModuleSource"}
	if c.name != "" {
		var one v1alpha1.ModuleSource
		if err := kube.Get(ctx, types.NamespacedName{Namespace: c.namespace, Name: c.name}, &one); err != nil {
			return nil, clusterProblem(err)
		}
		one.TypeMeta, one.ManagedFields = kind, nil // As kubectl leaves them out.
		return []v1alpha1.ModuleSource{one}, nil
	}
	var list v1alpha1.ModuleSourceList
	if err := kube.List(ctx, &list, client.InNamespace(c.namespace), client.MatchingLabelsSelector{Selector: c.selector}); err != nil {
		return nil, clusterProblem(err)
	}
	for i := range list.Items {
		list.Items[i].TypeMeta, list.Items[i].ManagedFields = kind, nil
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.ModuleSource) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	return list.Items, nil
}

// clusterProblem words what the API server answers.
func clusterProblem(err error) error {
	if apimeta.IsNoMatchError(err) || apierrors.IsNotFound(err) && strings.Contains(err.Error(), "could not find the requested resource") {
		return fmt.Errorf("the cluster has no ModuleSources: expected Assay's CRD to be installed (kubectl apply -k config/crd): %w", err)
	}
	return err
}

func printSources(t *terminal, sources []v1alpha1.ModuleSource, withNamespace bool) {
	if len(sources) == 0 {
		t.say("no ModuleSource found")
		return
	}
	table := newTable(sourceHeader(withNamespace)...)
	var bad []string
	for i := range sources {
		r := newSourceRow(&sources[i], t.now())
		table.add(r.cells(withNamespace)...)
		bad = append(bad, r.why(t)...)
	}
	table.print(t)
	if len(bad) > 0 {
		fmt.Fprintf(t.out, "\n%s\n", strings.Join(bad, "\n"))
	}
}

// watchSources prints a row whenever one changes.
func watchSources(ctx context.Context, t *terminal, where *cluster) error {
	withNamespace := where.namespace == ""
	table := newTable(sourceHeader(withNamespace)...)
	printed := map[types.NamespacedName]string{}
	key := func(r sourceRow) string { r.age = ""; return fmt.Sprintf("%+v", r) }
	f := follow{cluster: where, object: &v1alpha1.ModuleSource{}}
	f.ready = func(ctx context.Context, kube client.Reader) error {
		sources, err := where.sources(ctx, kube)
		if err != nil {
			return err
		}
		for i := range sources {
			r := newSourceRow(&sources[i], t.now())
			printed[client.ObjectKeyFromObject(&sources[i])] = key(r)
			table.add(r.cells(withNamespace)...)
			table.addBelow(r.why(t)...)
		}
		table.print(t)
		return nil
	}
	f.changed = func(o client.Object) {
		r := newSourceRow(o.(*v1alpha1.ModuleSource), t.now())
		at := client.ObjectKeyFromObject(o)
		if printed[at] == key(r) {
			return
		}
		printed[at] = key(r)
		table.add(r.cells(withNamespace)...)
		table.addBelow(r.why(t)...)
		table.print(t)
	}
	f.deleted = func(o client.Object) {
		delete(printed, client.ObjectKeyFromObject(o))
		r := newSourceRow(o.(*v1alpha1.ModuleSource), t.now())
		r.ready, r.verified, r.bad = "Deleted", "", nil
		table.add(r.cells(withNamespace)...)
		table.print(t)
	}
	return f.run(ctx)
}

// sourceRow is a ModuleSource on a line, and below it why it is bad.
type sourceRow struct {
	namespace, name           string
	ready, verified, revision string
	published, signer, age    string
	bad                       []string
}

func sourceHeader(withNamespace bool) []string {
	header := []string{"NAME", "READY", "VERIFIED", "REVISION", "PUBLISHED", "SIGNED BY", "AGE"}
	if withNamespace {
		header = append([]string{"NAMESPACE"}, header...)
	}
	return header
}

func newSourceRow(m *v1alpha1.ModuleSource, now time.Time) sourceRow {
	r := sourceRow{
		namespace: m.Namespace, name: m.Name, ready: "Unknown", verified: "Unknown", revision: "-", published: "-", signer: "-",
		age: duration.HumanDuration(now.Sub(m.CreationTimestamp.Time)),
	}
	if o := m.Status.Observed; o != nil {
		r.revision = short(o.Version, o.Digest)
	}
	if a := m.Status.Artifact; a != nil {
		version, digest, ok := strings.Cut(a.Revision, "@")
		if !ok {
			version, digest = "", a.Revision
		}
		r.published = short(version, digest)
	}
	if v := m.Status.Verification; v != nil {
		r.signer = signersIn(v)
	}
	for _, c := range m.Status.Conditions {
		isStale := c.ObservedGeneration != m.Generation
		switch c.Type {
		case v1alpha1.ConditionReady:
			if r.ready = string(c.Status); isStale {
				r.ready = "Unknown"
			}
		case v1alpha1.ConditionVerified:
			r.verified = c.Reason
		}
	}
	if m.Spec.Suspend {
		r.ready += " (suspended)"
	}
	r.bad = whyBad(m)
	return r
}

// whyBad are the conditions that say why a ModuleSource is not ready; none for
// one that is.
func whyBad(m *v1alpha1.ModuleSource) []string {
	if len(m.Status.Conditions) == 0 {
		return []string{"no controller has looked at it yet"}
	}
	ready := apimeta.FindStatusCondition(m.Status.Conditions, v1alpha1.ConditionReady)
	if ready != nil && ready.ObservedGeneration != m.Generation {
		return []string{"no controller has looked at its last change yet"}
	}
	if ready != nil && ready.Status == metav1.ConditionTrue {
		return nil
	}
	var why []string
	said := map[string]bool{}
	for _, kind := range []string{v1alpha1.ConditionVerified, v1alpha1.ConditionFetchFailed, v1alpha1.ConditionArtifactInStorage, v1alpha1.ConditionReady} {
		c := apimeta.FindStatusCondition(m.Status.Conditions, kind)
		isGood := c != nil && (c.Status == metav1.ConditionTrue) != (kind == v1alpha1.ConditionFetchFailed)
		if c == nil || isGood || said[c.Message] {
			continue
		}
		said[c.Message] = true
		why = append(why, fmt.Sprintf("%s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message))
	}
	return why
}

// short is a revision in few columns.
func short(version, digest string) string {
	digest = strings.TrimPrefix(digest, "sha256:")
	digest = digest[:min(8, len(digest))]
	if version == "" {
		return digest
	}
	return version + "@" + digest
}

func signersIn(v *v1alpha1.Verification) string {
	var names []string
	for _, s := range v.Signatures {
		if s.KeyFingerprint != "" {
			names = append(names, s.Authority+" (key "+short("", s.KeyFingerprint)+")")
			continue
		}
		names = append(names, s.Subject)
	}
	return strings.Join(names, " and ")
}

func (r sourceRow) cells(withNamespace bool) []cell {
	color := unsure
	switch {
	case strings.HasPrefix(r.ready, "True"):
		color = good
	case strings.HasPrefix(r.ready, "False"):
		color = bad
	}
	cells := []cell{{r.name, ""}, {r.ready, color}, {r.verified, ""}, {r.revision, ""}, {r.published, ""}, {r.signer, ""}, {r.age, ""}}
	if withNamespace {
		cells = append([]cell{{r.namespace, ""}}, cells...)
	}
	return cells
}

// why are the lines that say why it is bad.
func (r sourceRow) why(t *terminal) []string {
	var lines []string
	for _, text := range r.bad {
		lines = append(lines, t.paint(strong, r.namespace+"/"+r.name)+": "+clean(text))
	}
	return lines
}
