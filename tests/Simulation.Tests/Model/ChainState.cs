namespace ZeroFlow.Simulation.Tests.Model;

/// <summary>What a writer does.</summary>
internal enum WriterPhase : byte
{
    Absent,
    Walking,
    Owner,
    Fenced,
}

/// <summary>
/// One state of the model: a bucket, and writers that take it from each other. Immutable but for the copy that a step
/// works on. Every table overwrites the whole device, so that all but the last are dead: the most that can be deleted.
/// </summary>
internal sealed class ChainState
{
    public const int Writers = 3;
    public const int Epochs = 3;
    public const int Numbers = 3;
    public const byte Empty = 0;

    // A cell holds nothing, a writer's table (1 + w), or a writer's seal (8 + w). Numbers and epochs count from 1.
    private readonly byte[] _cells;
    private readonly Writer[] _writers;

    public ChainState()
    {
        _cells = new byte[(Epochs + 1) * (Numbers + 2)];
        _writers = new Writer[Writers];

        // The first writer has the first epoch to itself, as a new store's first opening makes it.
        _writers[0] = new Writer { Phase = WriterPhase.Owner, Epoch = 1 };
    }

    private ChainState(ChainState other)
    {
        _cells = [.. other._cells];
        _writers = [.. other._writers];
        Acknowledged = other.Acknowledged;
        Checkpoint = other.Checkpoint;
        CheckpointTables = other.CheckpointTables;
    }

    /// <summary>Tables whose FLUSH was answered, one bit each.</summary>
    public uint Acknowledged { get; set; }

    /// <summary>Where the newest stored checkpoint stands, as a position; 0 for none.</summary>
    public byte Checkpoint { get; set; }

    /// <summary>The tables that it is the sum of.</summary>
    public uint CheckpointTables { get; set; }

    public ChainState Copy() => new(this);

    public ref Writer this[int writer] => ref _writers[writer];

    public byte CellAt(int epoch, int number) => _cells[Position(epoch, number)];

    public void Put(int epoch, int number, byte cell) => _cells[Position(epoch, number)] = cell;

    public static byte Position(int epoch, int number) => (byte)((epoch * (Numbers + 2)) + number);

    public static (int Epoch, int Number) PlaceOf(int position) => (position / (Numbers + 2), position % (Numbers + 2));

    public static byte TableOf(int writer) => (byte)(1 + writer);

    public static byte SealOf(int writer) => (byte)(8 + writer);

    public static bool IsSeal(byte cell) => cell >= 8;

    public static bool IsTable(byte cell) => cell is > 0 and < 8;

    /// <summary>One bit for a table of a writer at a place.</summary>
    public static uint Bit(int epoch, int number, byte table) =>
        1u << ((((epoch - 1) * Numbers) + (number - 1)) * Writers) + (table - 1);

    /// <summary>Everything, as a text that is the same for the same state.</summary>
    public string Key()
    {
        Span<char> key = stackalloc char[_cells.Length + (Writers * 8) + 5];
        int at = 0;
        foreach (byte cell in _cells) key[at++] = (char)cell;
        foreach (Writer writer in _writers) writer.WriteTo(key, ref at);
        key[at++] = (char)Checkpoint;
        Put32(key, ref at, Acknowledged);
        Put32(key, ref at, CheckpointTables);
        return new string(key);
    }

    public override string ToString()
    {
        var cells = new List<string>();
        for (int position = 0; position < _cells.Length; position++)
        {
            if (_cells[position] == Empty) continue;
            var (epoch, number) = PlaceOf(position);
            cells.Add($"{epoch}/{number}={(IsSeal(_cells[position]) ? $"seal of {_cells[position] - 8}" : $"table of {_cells[position] - 1}")}");
        }

        var (checkpointEpoch, checkpointNumber) = PlaceOf(Checkpoint);
        return $"{string.Join(", ", cells)}; checkpoint {checkpointEpoch}/{checkpointNumber}; {string.Join("; ", _writers)}";
    }

    private static void Put32(Span<char> key, ref int at, uint value)
    {
        key[at++] = (char)(value & 0xFFFF);
        key[at++] = (char)(value >> 16);
    }

    /// <summary>A writer: walking from a checkpoint to the end of the chain, or the owner of an epoch.</summary>
    public struct Writer
    {
        public WriterPhase Phase;
        public byte Epoch;

        /// <summary>The last number that it has walked over, or committed.</summary>
        public byte Number;

        /// <summary>The checkpoint that its walk began at.</summary>
        public byte StartedFrom;

        /// <summary>The checkpoint that it stored itself, as a position; 0 for none.</summary>
        public byte Stored;

        /// <summary>Numbers of its epoch that it knows to be in the bucket, one bit each.</summary>
        public byte Known;

        /// <summary>The tables that its state is the sum of.</summary>
        public uint Tables;

        public readonly void WriteTo(Span<char> key, ref int at)
        {
            key[at++] = (char)Phase;
            key[at++] = (char)((Epoch << 8) | Number);
            key[at++] = (char)StartedFrom;
            key[at++] = (char)Stored;
            key[at++] = (char)Known;
            Put32(key, ref at, Tables);
        }

        public override readonly string ToString() => $"{Phase} {Epoch}/{Number}";
    }
}
