using ZeroFlow.Mutations;

namespace ZeroFlow.Architecture.Tests;

// The bugs of tests/Mutations are tried on request, not in every run; here is only seen to it that they still can be.
public sealed class MutationTests
{
    private const string Document = "docs/testing.md";

    public static TheoryData<string> Names => [.. Catalogue.Select(static mutation => mutation.Name)];

    private static IReadOnlyList<Mutation> Catalogue => Mutation.ReadAll(SourceTree.Root);

    [Theory]
    [MemberData(nameof(Names))]
    public void The_place_of_a_bug_is_in_the_source_once(string name)
    {
        foreach (MutationEdit edit in Catalogue.Single(mutation => mutation.Name == name).Edits)
            Assert.NotEqual(SourceTree.Read(edit.File), edit.ApplyTo(SourceTree.Read(edit.File)));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void What_must_notice_a_bug_exists(string name)
    {
        foreach (MutationProof proof in Catalogue.Single(mutation => mutation.Name == name).Proofs)
        {
            if (proof.Project is not { } project) continue;
            int dot = proof.Arguments[0].LastIndexOf('.');
            string space = proof.Arguments[0][..dot], type = proof.Arguments[0][(dot + 1)..];
            string file = Assert.Single(SourceTree.CSharp($"tests/{project}"), file => file.EndsWith($"/{type}.cs", StringComparison.Ordinal) &&
                SourceTree.Read(file).Contains($"namespace {space};", StringComparison.Ordinal));
            Assert.Contains($"class {type}", SourceTree.Read(file), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void The_document_has_a_row_for_every_bug_with_the_promise_that_it_breaks()
    {
        string document = SourceTree.Read(Document);
        Breaches.None(
            from mutation in Catalogue
            where !document.Contains($"| {mutation.Promise} | `{mutation.Name}` |", StringComparison.Ordinal)
            select $"{Document}: | {mutation.Promise} | `{mutation.Name}` | ... |");
    }
}
