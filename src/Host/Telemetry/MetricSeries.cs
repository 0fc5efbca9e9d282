using System.Globalization;
using System.Text;

namespace ZeroFlow.Host.Telemetry;

/// <summary>
/// One line of a family, or one histogram: a set of labels and what was counted under it. Thread-safe.
/// </summary>
internal sealed class MetricSeries
{
    private readonly string _labels;
    private readonly IReadOnlyDictionary<string, string> _tags;
    private readonly double[] _bounds;
    private readonly long[] _buckets;
    private long _whole;
    private double _fraction;
    private long _observedInScrape;

    /// <summary>
    /// Makes a series; <paramref name="labels"/> are rendered, without braces, possibly empty, and <paramref name="tags"/> are
    /// what they say.
    /// </summary>
    public MetricSeries(string labels, IReadOnlyDictionary<string, string> tags, double[]? bounds)
    {
        _labels = labels;
        _tags = tags;
        _bounds = bounds ?? [];
        _buckets = bounds is null ? [] : new long[bounds.Length + 1];
    }

    /// <summary>The rendered labels.</summary>
    public string Labels => _labels;

    /// <summary>Adds to a counter.</summary>
    public void Add(long delta) => Interlocked.Add(ref _whole, delta);

    /// <inheritdoc cref="Add(long)"/>
    public void Add(double delta) => AddFraction(delta);

    /// <summary>Sets a gauge, or a counter that somebody else keeps.</summary>
    public void Set(double value) => Volatile.Write(ref _fraction, value);

    /// <summary>Counts a value in its bucket.</summary>
    public void Record(double value)
    {
        Interlocked.Increment(ref _buckets[HistogramBuckets.IndexOf(_bounds, value)]);
        AddFraction(value);
    }

    /// <summary>Notes that an observable instrument still reports this series.</summary>
    public void MarkObserved(long scrape) => Volatile.Write(ref _observedInScrape, scrape);

    /// <summary>True when the series was reported in <paramref name="scrape"/>.</summary>
    public bool WasObserved(long scrape) => Volatile.Read(ref _observedInScrape) == scrape;

    /// <summary>What was counted until now.</summary>
    public MetricSample Read()
    {
        double value = Volatile.Read(ref _whole) + Volatile.Read(ref _fraction);
        long[] buckets = new long[_buckets.Length];
        for (int i = 0; i < buckets.Length; i++) buckets[i] = Volatile.Read(ref _buckets[i]);
        return new MetricSample(_tags, value, buckets, _bounds);
    }

    /// <summary>Writes the series as lines of <paramref name="family"/>.</summary>
    public void Write(string family, StringBuilder text)
    {
        if (_buckets.Length == 0)
            WriteLine(text, family, "", _labels, Volatile.Read(ref _whole) + Volatile.Read(ref _fraction));
        else
            WriteHistogram(family, text);
    }

    // The count is the sum of the buckets that were read, not a counter of its own: the format wants them equal, and
    // others record meanwhile.
    private void WriteHistogram(string family, StringBuilder text)
    {
        string comma = _labels.Length > 0 ? "," : "";
        long count = 0;
        for (int i = 0; i < _buckets.Length; i++)
        {
            count += Volatile.Read(ref _buckets[i]);
            string bound = Format(i < _bounds.Length ? _bounds[i] : double.PositiveInfinity);
            WriteLine(text, family, "_bucket", $"{_labels}{comma}le=\"{bound}\"", count);
        }

        WriteLine(text, family, "_sum", _labels, Volatile.Read(ref _fraction));
        WriteLine(text, family, "_count", _labels, count);
    }

    private static void WriteLine(StringBuilder text, string family, string suffix, string labels, double value)
    {
        text.Append(family).Append(suffix);
        if (labels.Length > 0) text.Append('{').Append(labels).Append('}');
        text.Append(' ').Append(Format(value)).Append('\n');
    }

    private static string Format(double value) =>
        double.IsPositiveInfinity(value) ? "+Inf"
        : double.IsNegativeInfinity(value) ? "-Inf"
        : value.ToString("R", CultureInfo.InvariantCulture);

    private void AddFraction(double delta)
    {
        double seen = Volatile.Read(ref _fraction);
        while (true)
        {
            double before = Interlocked.CompareExchange(ref _fraction, seen + delta, seen);
            if (BitConverter.DoubleToInt64Bits(before) == BitConverter.DoubleToInt64Bits(seen)) return;
            seen = before;
        }
    }
}
