namespace ZeroFlow.Mutations;

/// <summary>One bug put into the product on purpose, and what must notice it. Immutable.</summary>
/// <param name="Name">Its file in the catalogue, without the extension.</param>
/// <param name="Promise">What ZeroFlow promises and this bug breaks, as docs/testing.md says it.</param>
/// <param name="Edits">What is replaced, in order.</param>
/// <param name="Proofs">What must fail with the bug and pass without it; the first that fails is enough.</param>
public sealed record Mutation(
    string Name, string Promise, IReadOnlyList<MutationEdit> Edits, IReadOnlyList<MutationProof> Proofs)
{
    /// <summary>Reads one file of the catalogue.</summary>
    /// <remarks>
    /// The head is lines of <c>promise: TEXT</c>, and <c>test: PROJECT CLASS</c> or <c>simulation: FIRST COUNT</c>. Then
    /// follow edits: <c>--- FILE</c>, the lines that stand there, <c>+++</c>, the lines that replace them. Line breaks
    /// count; the last one of each part does not.
    /// </remarks>
    /// <exception cref="FormatException">The text is none.</exception>
    public static Mutation Parse(string name, string text)
    {
        string promise = "";
        var proofs = new List<MutationProof>();
        var edits = new List<MutationEdit>();
        string[] lines = text.ReplaceLineEndings("\n").TrimEnd('\n').Split('\n');
        int at = 0;
        for (; at < lines.Length && !lines[at].StartsWith("--- ", StringComparison.Ordinal); at++)
        {
            string[] words = lines[at].Split(' ', StringSplitOptions.RemoveEmptyEntries);
            switch (words.FirstOrDefault())
            {
                case null:
                    break;
                case "promise:":
                    promise = string.Join(' ', words[1..]);
                    break;
                case "test:" or "simulation:" when words.Length == 3:
                    proofs.Add(new MutationProof(words[0] == "simulation:" ? null : words[1], words[0] == "simulation:" ? words[1..] : words[2..]));
                    break;
                default:
                    throw new FormatException($"{name}: line {at + 1} is not understood: {lines[at]}");
            }
        }

        while (at < lines.Length)
        {
            string file = lines[at][4..];
            int middle = Array.IndexOf(lines, "+++", at);
            if (middle < 0) throw new FormatException($"{name}: the edit of {file} has no +++.");
            int end = Array.FindIndex(lines, middle, static line => line.StartsWith("--- ", StringComparison.Ordinal));
            if (end < 0) end = lines.Length;
            edits.Add(new MutationEdit(file, string.Join('\n', lines[(at + 1)..middle]), string.Join('\n', lines[(middle + 1)..end])));
            at = end;
        }

        if (promise.Length == 0 || proofs.Count == 0 || edits.Count == 0)
            throw new FormatException($"{name}: a mutation has a promise, a proof and an edit.");
        return new Mutation(name, promise, edits, proofs);
    }

    /// <summary>The whole catalogue of a source tree, by name.</summary>
    public static IReadOnlyList<Mutation> ReadAll(string root) =>
    [
        .. Directory.EnumerateFiles(Path.Combine(root, "tests", "Mutations", "Catalogue"), "*.txt")
            .Order(StringComparer.Ordinal)
            .Select(static file => Parse(Path.GetFileNameWithoutExtension(file), File.ReadAllText(file))),
    ];
}

/// <summary>A place in a source file.</summary>
/// <param name="File">Its path in the source tree.</param>
/// <param name="Find">What stands there, once in the file.</param>
/// <param name="Replace">What stands there with the bug.</param>
public sealed record MutationEdit(string File, string Find, string Replace)
{
    /// <summary>The file with the bug in it.</summary>
    /// <exception cref="FormatException">What is to be replaced is not there, or is there more than once.</exception>
    public string ApplyTo(string source)
    {
        int first = source.IndexOf(Find, StringComparison.Ordinal);
        if (first < 0 || source.IndexOf(Find, first + 1, StringComparison.Ordinal) >= 0)
            throw new FormatException($"{File} does not hold exactly once: {Find}");
        return string.Concat(source.AsSpan(0, first), Replace, source.AsSpan(first + Find.Length));
    }
}

/// <summary>Something that can be run.</summary>
/// <param name="Project">The test project; null for the simulation.</param>
/// <param name="Arguments">The test class, or the first seed and how many.</param>
public sealed record MutationProof(string? Project, IReadOnlyList<string> Arguments)
{
    public override string ToString() => Project is null ? $"simulation, seeds from {Arguments[0]}" : Arguments[0];
}
