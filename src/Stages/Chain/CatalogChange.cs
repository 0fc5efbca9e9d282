using System.Text.Json;
using System.Text.Json.Serialization;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Stages.Chain;

/// <summary>A change of the catalog: a record of the commit order like any write. Encoded as JSON, named by its kind.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "op", UnknownDerivedTypeHandling = JsonUnknownDerivedTypeHandling.FailSerialization)]
[JsonDerivedType(typeof(CreateExport), "create-export")]
[JsonDerivedType(typeof(SetLevel), "set-level")]
[JsonDerivedType(typeof(AlterExport), "alter-export")]
[JsonDerivedType(typeof(ResizeExport), "resize-export")]
[JsonDerivedType(typeof(DeleteExport), "delete-export")]
[JsonDerivedType(typeof(CreateSnapshots), "create-snapshots")]
[JsonDerivedType(typeof(CreateClone), "create-clone")]
[JsonDerivedType(typeof(RollBack), "roll-back")]
internal abstract record CatalogChange
{
    /// <summary>Makes an export. What has its default is left out, so that a program that does not know it can read the rest.</summary>
    public sealed record CreateExport(
        uint Id,
        string Name,
        long SizeBytes,
        int ChunkBytes,
        DurabilityLevel Level,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool IsReadOnly = false,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Description = null,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] SnapshotOrigin? Snapshot = null,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] bool WriteThrough = false,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] int? Compression = null,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<string>? FormerNames = null,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] uint? CloneOf = null) : CatalogChange
    {
        public static CreateExport From(ExportInfo info) => new(
            info.Id.Value, info.Name, info.SizeBytes, info.ChunkBytes, info.Level, info.IsReadOnly,
            info.Description.Length == 0 ? null : info.Description,
            info.Snapshot is { } origin
                ? new SnapshotOrigin(origin.Of.Value, origin.Name, origin.CreatedAt.ToUnixTimeMilliseconds())
                : null,
            info.WriteThrough,
            info.CompressionLevel,
            info.FormerNames?.Names,
            info.CloneOf?.Value);

        public ExportInfo ToInfo() => new(
            new ExportId(Id), Name, SizeBytes, ChunkBytes, Level, IsReadOnly, Description ?? "",
            Snapshot is { } origin
                ? new SnapshotInfo(new ExportId(origin.Of), origin.Name, DateTimeOffset.FromUnixTimeMilliseconds(origin.CreatedUnixMs))
                : null,
            WriteThrough,
            Compression,
            Pipeline.Device.FormerNames.From(FormerNames),
            CloneOf is { } cloned ? new ExportId(cloned) : null);
    }

    /// <summary>Where a snapshot comes from. Stands in checkpoints only: the chain says it by <see cref="CreateSnapshots"/>.</summary>
    public sealed record SnapshotOrigin(uint Of, string Name, long CreatedUnixMs);

    /// <summary>A change of an export that exists.</summary>
    public abstract record ExportChange(uint Id) : CatalogChange
    {
        /// <summary>The export as it is after the change: the one rule for a running store, its WAL and its chain.</summary>
        public abstract ExportInfo ApplyTo(ExportInfo info);
    }

    /// <summary>Changes what FLUSH of an export waits for.</summary>
    public sealed record SetLevel(uint Id, DurabilityLevel Level) : ExportChange(Id)
    {
        public override ExportInfo ApplyTo(ExportInfo info) => info with { Level = Level };
    }

    /// <summary>
    /// Changes several properties of an export at once; what is left out stays. An export remembers the name that it loses.
    /// </summary>
    public sealed record AlterExport(
        uint Id,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Name = null,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] DurabilityLevel? Level = null,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] bool? IsReadOnly = null,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Description = null,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] bool? WriteThrough = null,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] int? Compression = null) : ExportChange(Id)
    {
        public override ExportInfo ApplyTo(ExportInfo info) => info with
        {
            Name = Name ?? info.Name,
            FormerNames = Pipeline.Device.FormerNames.Renamed(info.FormerNames, info.Name, Name ?? info.Name),
            Level = Level ?? info.Level,
            IsReadOnly = IsReadOnly ?? info.IsReadOnly,
            Description = Description ?? info.Description,
            WriteThrough = WriteThrough ?? info.WriteThrough,
            CompressionLevel = Compression ?? info.CompressionLevel,
        };
    }

    /// <summary>
    /// Changes the size. What lies beyond a smaller one was made zeros by the record before, so that growing again does
    /// not bring it back.
    /// </summary>
    public sealed record ResizeExport(uint Id, long SizeBytes) : ExportChange(Id)
    {
        public override ExportInfo ApplyTo(ExportInfo info) => info with { SizeBytes = SizeBytes };
    }

    /// <summary>Deletes an export or a snapshot. Records of it that come later count for nothing.</summary>
    public sealed record DeleteExport(uint Id) : CatalogChange;

    /// <summary>Takes snapshots of one or more exports, all of this one point of the commit order.</summary>
    public sealed record CreateSnapshots(string Name, long CreatedUnixMs, IReadOnlyList<SnapshotMember> Members) : CatalogChange
    {
        public static ExportInfo InfoOf(ExportInfo origin, uint id, string name, long createdUnixMs) => origin with
        {
            Id = new ExportId(id),
            Name = SnapshotInfo.NameOf(origin.Name, name),
            IsReadOnly = true,
            Description = "",
            FormerNames = null,
            CloneOf = null,
            Snapshot = new SnapshotInfo(origin.Id, name, DateTimeOffset.FromUnixTimeMilliseconds(createdUnixMs)),
        };
    }

    /// <summary>One export of a group, and the identity of its snapshot.</summary>
    public sealed record SnapshotMember(uint Id, uint Of);

    /// <summary>Makes a writable export that begins as a snapshot is.</summary>
    public sealed record CreateClone(uint Id, string Name, uint Of, DurabilityLevel Level) : CatalogChange
    {
        public ExportInfo ToInfo(ExportInfo snapshot) => snapshot with
        {
            Id = new ExportId(Id),
            Name = Name,
            Level = Level,
            IsReadOnly = false,
            Description = "",
            Snapshot = null,
            CloneOf = new ExportId(Of),
        };
    }

    /// <summary>Makes an export what one of its snapshots is, its size too.</summary>
    public sealed record RollBack(uint Id, uint To) : CatalogChange;

    public byte[] Encode() => JsonSerializer.SerializeToUtf8Bytes(this, CatalogJson.Default.CatalogChange);

    /// <exception cref="StorageFaultException">A newer program wrote a change that this one does not know.</exception>
    public static CatalogChange Decode(ReadOnlySpan<byte> encoded)
    {
        try
        {
            return JsonSerializer.Deserialize(encoded, CatalogJson.Default.CatalogChange) ?? throw new JsonException("null");
        }
        catch (Exception unknown) when (unknown is JsonException or NotSupportedException)
        {
            throw new StorageFaultException(
                FaultKind.Invalid, "The store's catalog holds a change that this program does not know. Use a newer ZeroFlow.", unknown);
        }
    }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.KebabCaseLower,
    UseStringEnumConverter = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(CatalogChange))]
internal sealed partial class CatalogJson : JsonSerializerContext;
