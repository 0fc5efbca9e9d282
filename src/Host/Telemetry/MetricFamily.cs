using System.Text;

namespace ZeroFlow.Host.Telemetry;

/// <summary>
/// All series of one metric name. Finding the series of a set of tags takes no lock and allocates nothing once that
/// set has been seen. Thread-safe.
/// </summary>
internal sealed class MetricFamily
{
    /// <summary>Most series of one family; a tag with unbounded values must not eat the memory of the server.</summary>
    public const int SeriesMax = 2048;

    private readonly Lock _lock = new();
    private readonly SortedDictionary<string, MetricSeries> _byLabels = new(StringComparer.Ordinal);
    private readonly double[]? _bounds;
    private volatile Entry?[] _table = new Entry?[8];
    private int _entries;
    private MetricSeries? _untagged;

    /// <summary>Makes an empty family.</summary>
    public MetricFamily(string name, MetricKind kind, string help, bool isObserved, double[]? bounds)
    {
        Name = name;
        Kind = kind;
        Help = help;
        IsObserved = isObserved;
        _bounds = bounds;
    }

    /// <summary>Name in the text format.</summary>
    public string Name { get; }

    /// <summary>Type in the text format.</summary>
    public MetricKind Kind { get; }

    /// <summary>What it means, unescaped.</summary>
    public string Help { get; }

    /// <summary>True when values are reported at each scrape, so that a series that is not reported is gone.</summary>
    public bool IsObserved { get; }

    /// <summary>The series of <paramref name="tags"/>; null when there are too many already.</summary>
    public MetricSeries? Find(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        if (tags.IsEmpty) return _untagged ?? Add(tags, 0);
        int hash = HashOf(tags);
        Entry?[] table = _table;
        for (int i = hash & (table.Length - 1); table[i] is { } entry; i = (i + 1) & (table.Length - 1))
        {
            if (entry.Hash == hash && entry.Matches(tags)) return entry.Series;
        }

        return Add(tags, hash);
    }

    /// <summary>The series that there are, as they are now.</summary>
    public MetricSample[] Read(long scrape)
    {
        lock (_lock) return [.. _byLabels.Values.Where(s => !IsObserved || s.WasObserved(scrape)).Select(static s => s.Read())];
    }

    /// <summary>Writes the family, or nothing when it has no series to show.</summary>
    public void Write(StringBuilder text, long scrape)
    {
        MetricSeries[] series;
        lock (_lock) series = [.. _byLabels.Values.Where(s => !IsObserved || s.WasObserved(scrape))];
        if (series.Length == 0) return;
        text.Append("# HELP ").Append(Name).Append(' ').Append(MetricName.EscapeHelp(Help)).Append('\n');
        string type = Kind switch
        {
            MetricKind.Counter => "counter",
            MetricKind.Gauge => "gauge",
            _ => "histogram",
        };
        text.Append("# TYPE ").Append(Name).Append(' ').Append(type).Append('\n');
        foreach (MetricSeries one in series) one.Write(Name, text);
    }

    private MetricSeries? Add(ReadOnlySpan<KeyValuePair<string, object?>> tags, int hash)
    {
        KeyValuePair<string, object?>[] kept = tags.ToArray();
        SortedDictionary<string, string> named = LabelsOf(kept);
        string labels = Render(named);
        lock (_lock)
        {
            if (!_byLabels.TryGetValue(labels, out MetricSeries? series))
            {
                if (_byLabels.Count >= SeriesMax) return null;
                series = new MetricSeries(labels, named, _bounds);
                _byLabels.Add(labels, series);
            }

            // Tags may come in several orders that mean one series; each order gets an entry, up to the same bound.
            if (kept.Length == 0) _untagged = series;
            else if (_entries < SeriesMax) Insert(new Entry(hash, kept, series));
            return series;
        }
    }

    // Readers see the old table or the new one, each complete: entries are published by one reference write.
    private void Insert(Entry added)
    {
        Entry?[] table = _table;
        if ((_entries + 1) * 2 > table.Length)
        {
            Entry?[] larger = new Entry?[table.Length * 2];
            foreach (Entry? entry in table)
            {
                if (entry is not null) Place(larger, entry);
            }

            Place(larger, added);
            _table = larger;
        }
        else
        {
            Place(table, added);
        }

        _entries++;
    }

    private static void Place(Entry?[] table, Entry entry)
    {
        int i = entry.Hash & (table.Length - 1);
        while (table[i] is not null) i = (i + 1) & (table.Length - 1);
        Volatile.Write(ref table[i], entry);
    }

    private static int HashOf(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        var hash = default(HashCode);
        foreach (KeyValuePair<string, object?> tag in tags)
        {
            hash.Add(tag.Key);
            hash.Add(tag.Value);
        }

        return hash.ToHashCode();
    }

    private static SortedDictionary<string, string> LabelsOf(KeyValuePair<string, object?>[] tags)
    {
        var labels = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach ((string key, object? value) in tags)
            labels[MetricName.OfLabel(key)] = Convert.ToString(value, System.Globalization.CultureInfo.InvariantCulture) ?? "";
        return labels;
    }

    private static string Render(SortedDictionary<string, string> labels) =>
        string.Join(',', labels.Select(label => $"{label.Key}=\"{MetricName.EscapeLabelValue(label.Value)}\""));

    private sealed class Entry(int hash, KeyValuePair<string, object?>[] tags, MetricSeries series)
    {
        private readonly KeyValuePair<string, object?>[] _tags = tags;

        public int Hash { get; } = hash;

        public MetricSeries Series { get; } = series;

        public bool Matches(ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            if (tags.Length != _tags.Length) return false;
            for (int i = 0; i < tags.Length; i++)
            {
                if (tags[i].Key != _tags[i].Key || !Equals(tags[i].Value, _tags[i].Value)) return false;
            }

            return true;
        }
    }
}
