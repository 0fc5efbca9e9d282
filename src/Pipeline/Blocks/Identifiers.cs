namespace ZeroFlow.Pipeline.Blocks;

/// <summary>
/// A place in the store's single commit order. Every write, trim and catalog change of every export gets the next
/// value; zero means "before the first".
/// </summary>
public readonly record struct Sequence(ulong Value) : IComparable<Sequence>
{
    /// <summary>The point before the first operation of a store.</summary>
    public static Sequence Zero => default;

    /// <summary>The value that follows this one.</summary>
    public Sequence Next => new(Value + 1);

    /// <summary>The later of two points.</summary>
    public static Sequence Max(Sequence a, Sequence b) => a.Value >= b.Value ? a : b;

    /// <inheritdoc/>
    public int CompareTo(Sequence other) => Value.CompareTo(other.Value);

    /// <summary>Orders two points.</summary>
    public static bool operator <(Sequence a, Sequence b) => a.Value < b.Value;

    /// <inheritdoc cref="op_LessThan"/>
    public static bool operator >(Sequence a, Sequence b) => a.Value > b.Value;

    /// <inheritdoc cref="op_LessThan"/>
    public static bool operator <=(Sequence a, Sequence b) => a.Value <= b.Value;

    /// <inheritdoc cref="op_LessThan"/>
    public static bool operator >=(Sequence a, Sequence b) => a.Value >= b.Value;

    /// <inheritdoc/>
    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}

/// <summary>The number of an export within its store. Never reused: a name may move, an identity does not.</summary>
public readonly record struct ExportId(uint Value)
{
    /// <inheritdoc/>
    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}
