namespace ZeroFlow.Pipeline.Device;

/// <summary>
/// The names that an export gave up by being renamed, the newest last. Immutable; equal to another one with the same names.
/// </summary>
/// <remarks>
/// A configuration goes on naming what it once named. Without this memory, the next start would make an empty export under
/// the old name, and a client that attaches by it would find a blank disk.
/// </remarks>
public sealed class FormerNames : IEquatable<FormerNames>
{
    /// <summary>More are not kept, the oldest are forgotten: the list stands in every checkpoint.</summary>
    public const int CountMax = 16;

    private readonly string[] _names;

    private FormerNames(string[] names) => _names = names;

    /// <summary>The names.</summary>
    public IReadOnlyList<string> Names => _names;

    /// <summary>Those names; null for none.</summary>
    public static FormerNames? From(IReadOnlyCollection<string>? names) =>
        names is { Count: > 0 } ? new FormerNames([.. names.TakeLast(CountMax)]) : null;

    /// <summary>The former names of an export that had <paramref name="before"/> and is renamed once more.</summary>
    public static FormerNames? Renamed(FormerNames? before, string from, string to) =>
        from == to ? before : From([.. (before?._names ?? []).Where(name => name != from && name != to), from]);

    /// <inheritdoc/>
    public bool Equals(FormerNames? other) => other is not null && _names.AsSpan().SequenceEqual(other._names);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as FormerNames);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(_names.Length, _names[^1]);

    /// <inheritdoc/>
    public override string ToString() => string.Join(", ", _names);
}
